"""One module per command of the command line: each exports `add_arguments(parser)` and `main(options)`.

The table of commands is in `bridge.cli`; `arguments`, `output` and `running_bridge` are shared by several commands.
"""
