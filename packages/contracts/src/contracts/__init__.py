"""What crosses a wire between Atalaia's services, and nothing else."""
