"""rholaw.threads: parts in order, by several threads that each run torch alone, and nothing left behind."""

import multiprocessing
import threading

import pytest
import torch

import rholaw as rl
from rholaw.formats import sparsity
from rholaw.threads import alone, over

pytestmark = pytest.mark.usefixtures("two_threads")


def together(task, *parts):
    with alone():
        return over(task, *parts)


def test_results_come_in_the_order_of_the_parts():
    assert together(lambda a, b: a * b, range(100), range(100)) == [i * i for i in range(100)]
    assert together(str, []) == []


def test_both_threads_work_and_torch_is_alone_in_each():
    both = threading.Barrier(2, timeout=60)

    def task(part):
        both.wait()
        return threading.get_ident(), torch.get_num_threads()

    places, threads = zip(*together(task, range(8)), strict=True)
    assert len(set(places)) == 2 and set(threads) == {1}


def test_the_number_of_threads_comes_back_also_after_an_error():
    with pytest.raises(ZeroDivisionError), alone() as before:
        assert before == 2 and torch.get_num_threads() == 1
        with alone() as inner:
            assert inner == 1
        assert len(set(over(lambda _: threading.get_ident(), range(1)))) == 1
        raise ZeroDivisionError
    assert torch.get_num_threads() == 2
    assert together(abs, [-1, -2]) == [1, 2]


def test_outside_of_alone_the_caller_does_all():
    assert set(over(lambda _: threading.get_ident(), range(50))) == {threading.get_ident()}


@pytest.mark.parametrize("kind", [ValueError, IndexError])
def test_an_error_of_a_task_is_raised_and_ends_the_work(kind):
    done = []

    def task(part):
        if part == 3:
            raise kind("part 3")
        done.append(part)

    with pytest.raises(kind, match="part 3"):
        together(task, range(10_000))
    assert len(done) < 10_000


def test_parts_of_unequal_number_are_refused():
    with pytest.raises(ValueError, match="zip"):
        together(lambda a, b: None, [1, 2], [1])


@pytest.mark.parametrize("gradients", [torch.no_grad, torch.enable_grad, torch.inference_mode])
def test_a_task_runs_in_the_modes_of_the_caller(gradients):
    both = threading.Barrier(2, timeout=60)

    def task(_):
        both.wait()
        return torch.is_grad_enabled(), torch.is_inference_mode_enabled()

    with gradients():
        here = torch.is_grad_enabled(), torch.is_inference_mode_enabled()
        assert set(together(task, range(4))) == {here}


def _child(queue):
    queue.put(together(abs, range(4)))


def test_a_forked_process_has_threads_of_its_own():
    together(abs, range(4))
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_child, args=(queue,))
    child.start()
    assert queue.get(timeout=60) == [0, 1, 2, 3]
    child.join(60)


FORMATS = ("int4", "sint4/g128", "nvfp4", "2:4+int4/g128", "s0.5+e2m1", "int4+out0.01", "fp8_row", "q4_k", "vq2_256")


@pytest.mark.parametrize("text", FORMATS)
def test_one_thread_and_two_give_the_same_values(text):
    x = torch.randn(1024, 512, generator=torch.Generator().manual_seed(1))
    two = rl.parse(text).quantize(x)
    torch.set_num_threads(1)
    assert torch.equal(rl.parse(text).quantize(x), two)


@pytest.mark.parametrize("share", [1e-5, 0.01, 0.5, 0.99, 0.99999])
def test_the_smallest_magnitude_is_that_of_all(share):
    many = 9 * sparsity._SAMPLE
    x = torch.randn(many, generator=torch.Generator().manual_seed(2))
    periodic = torch.arange(many) % (many // sparsity._SAMPLE) * 1.0  # a sample that is like nothing of the whole
    for values in (x, x.round(), torch.ones(many), periodic, -x.sort().values):
        k = max(round(share * many), 1)
        assert sparsity.smallest_magnitude(values, k) == values.abs().sort().values[k - 1]
