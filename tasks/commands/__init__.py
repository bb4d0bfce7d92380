"""The subcommands of `earthloom`, one file each; what they do stands in the rooms, imported when they run."""
