"""``sal-train``, also as ``python -m sal_train``."""

from sal_runtime.console import launch


def main() -> None:
    """Run the command."""
    launch("sal_train.cli", "sal-train")


if __name__ == "__main__":
    main()
