"""``sal-bench``, also as ``python -m sal_bench``."""

from sal_runtime.console import launch


def main() -> None:
    """Run the command."""
    launch("sal_bench.cli", "sal-bench")


if __name__ == "__main__":
    main()
