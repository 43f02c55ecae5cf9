"""What is left over and takes room: images that nothing uses (images.py), dead containers and logs of pods that are gone
(containers.py)."""
