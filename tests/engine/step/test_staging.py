import numpy as np
import torch

from engine.step.staging import Staging

COLUMNS = [(torch.int64, 1), (torch.int16, 3)]


def test_what_is_sent_arrives_column_by_column_for_any_number_of_rows() -> None:
    staging = Staging(4, COLUMNS, torch.device("cpu"))
    for rows in (4, 1, 3):
        ids, sound = staging.on_host(rows)
        ids[:], sound[:] = np.arange(rows)[:, None] - 1, np.arange(3 * rows).reshape(rows, 3)
        staging.send(rows)
        there = staging.on_device(rows)
        assert [part.dtype for part in there] == [torch.int64, torch.int16]
        assert there[0][:, 0].tolist() == [number - 1 for number in range(rows)]
        assert there[1].flatten().tolist() == list(range(3 * rows))


def test_what_is_fetched_is_what_the_device_wrote() -> None:
    staging = Staging(2, COLUMNS, torch.device("cpu"))
    ids, sound = staging.on_device(2)
    ids.fill_(7)
    sound.fill_(-5)
    staging.fetch(2)
    assert [part.tolist() for part in staging.on_host(2)] == [[[7], [7]], [[-5] * 3] * 2]


def test_the_memory_of_a_block_stays_where_it_is() -> None:
    staging = Staging(4, COLUMNS, torch.device("cpu"))
    assert [part.data_ptr() for part in staging.on_device(3)] == [
        part.data_ptr() for part in staging.on_device(3)
    ]
