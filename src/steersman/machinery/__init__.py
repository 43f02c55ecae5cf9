"""Ground shared by all parts: errors, metadata, labels, quantities, patches, the clock. Imports nothing of steersman."""
