"""Files that go to a bucket in parts."""


class InParts:
    """What a row with `size` and `part_size` in bytes says of its parts."""

    size: int
    part_size: int

    @property
    def part_count(self) -> int:
        """How many parts it comes in; 0 where it comes as a stream."""
        return -(-self.size // self.part_size) if self.part_size else 0

    def size_of_part(self, number: int) -> int:
        """Return the bytes of a part, counted from 1; all but the last are equal."""
        return min(self.part_size, self.size - (number - 1) * self.part_size)
