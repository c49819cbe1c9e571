"""A program at a terminal: what it prints, and answers typed into it."""

import asyncio
import os
import pty
import re
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from tests.support.limits import limit

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[=>]|\r")


class Terminal:
    """`3cx2mqtt` in a pseudo-terminal."""

    def __init__(self, descriptor: int, process: asyncio.subprocess.Process) -> None:
        self._descriptor = descriptor
        self._process = process
        self.text = ""
        """All that was printed, without control sequences."""
        self._read = 0
        asyncio.get_running_loop().add_reader(descriptor, self._receive)
        self._more = asyncio.Event()

    @classmethod
    @asynccontextmanager
    async def running(
        cls, *arguments: str | Path, cwd: Path, environ: Mapping[str, str] | None = None
    ) -> AsyncIterator["Terminal"]:
        master, slave = pty.openpty()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bridge", *map(str, arguments)),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=cwd,
            env={**os.environ, "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1", **(environ or {})},
            start_new_session=True,
        )
        os.close(slave)
        terminal = cls(master, process)
        try:
            yield terminal
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
            asyncio.get_running_loop().remove_reader(master)
            os.close(master)

    async def reads(self, words: str) -> None:
        """Wait until this has been printed after what was waited for before."""
        try:
            async with asyncio.timeout(limit(20)):
                while (found := self.text.find(words, self._read)) < 0:
                    self._more.clear()
                    await self._more.wait()
        except TimeoutError:
            raise AssertionError(f"{words!r} was not printed:\n{self.text[self._read :]}") from None
        self._read = found + len(words)

    async def answer(self, question: str, text: str = "") -> None:
        """Wait for the question, type the text, and Enter."""
        await self.reads(question)
        os.write(self._descriptor, text.encode() + b"\r")

    async def press(self, question: str, key: str) -> None:
        """Wait for the question, and press a key."""
        await self.reads(question)
        os.write(self._descriptor, key.encode())

    async def ends(self) -> int:
        """The exit code."""
        async with asyncio.timeout(limit(20)):
            return await self._process.wait()

    def _receive(self) -> None:
        with suppress(OSError):  # Linux reports the end of the program as an input/output error
            self.text = _CONTROL.sub("", self.text + os.read(self._descriptor, 65536).decode("utf-8", "replace"))
            self._more.set()
