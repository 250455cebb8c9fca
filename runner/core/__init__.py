"""What every layer shares: values, errors, identity, seeds, seams, the real clock."""
