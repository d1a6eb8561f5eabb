"""The workflows we ship, one file each, written exactly as a user would write theirs."""
