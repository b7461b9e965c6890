"""``sal-export``, also as ``python -m sal_export``."""

from sal_runtime.console import launch


def main() -> None:
    """Run the command."""
    launch("sal_export.cli", "sal-export")


if __name__ == "__main__":
    main()
