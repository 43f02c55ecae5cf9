"""Strategies of the built-in kinds: what create and update reset, generations, which validation runs when."""
