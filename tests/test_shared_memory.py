"""Memory that is shared with spawned processes."""

from pronghorn import shared_memory


def test_memory_that_was_used_before_is_zero():
    memory = shared_memory.allocate(64)
    cells = shared_memory.cells(memory)
    for index in range(64):
        cells[index] = index + 1
    before = cells.tolist()
    del cells, memory  # the next allocation gets the same place
    again = shared_memory.cells(shared_memory.allocate(64)).tolist()
    assert before != again == [0] * 64
