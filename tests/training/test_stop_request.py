from __future__ import annotations

import os
import signal

import pytest
import torch

from vlmpost.training import stop_request as signals
from vlmpost.training.stop_request import StopRequest

CPU = torch.device("cpu")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_is_noted_and_its_echo_is_not_a_second_one(number):
    before = signal.getsignal(number)
    with StopRequest() as request:
        assert not request.on_any_process(CPU)
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)
        assert request.received == number
        assert request.on_any_process(CPU)
    assert signal.getsignal(number) is before


@pytest.fixture
def usual_handler():
    """Python's own handler of SIGINT, which a shell that starts the tests in the background would have switched off."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("usual_handler")
def test_a_later_signal_finds_the_usual_handler(monkeypatch):
    monkeypatch.setattr(signals, "SAME_REQUEST_SECONDS", -1.0)
    with StopRequest() as request:
        os.kill(os.getpid(), signal.SIGINT)
        assert request.received == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_handlers_come_back_when_no_signal_came():
    before = signal.getsignal(signal.SIGTERM)
    with StopRequest():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before
