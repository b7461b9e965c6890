"""``sal-run``, also as ``python -m sal_runtime``."""

from sal_runtime.console import launch


def main() -> None:
    """Run the command."""
    launch("sal_runtime.cli", "sal-run")


if __name__ == "__main__":
    main()
