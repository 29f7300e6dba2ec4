"""Where session records are kept."""
