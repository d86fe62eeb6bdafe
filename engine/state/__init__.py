"""What sessions leave behind between frames: tensors with the slot first."""
