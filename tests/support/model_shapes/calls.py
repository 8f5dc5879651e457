"""Function calls, whichever way a server tells them apart."""

from tests.support.model_shapes.shape import CALLED, DONE, STOP, USAGE, Shape, call, called, chunk, ended, said, stream

F = {
    "type": "function",
    "name": "f",
    "description": "one thing",
    "parameters": {"type": "object", "properties": {"x": {"type": "integer"}}},
}
TOOLS = {"tools": [F, {**F, "name": "g"}, {**F, "name": "read_file"}]}
ONE = [("f", '{"x":1}')]

CALLS = [
    Shape(
        "D61",
        "no index, two ids",
        [
            stream(
                chunk(
                    {"tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}}]}
                )
                + chunk(
                    {"tool_calls": [{"id": "b", "type": "function", "function": {"name": "g", "arguments": '{"x":2}'}}]}
                )
                + CALLED
                + DONE
            )
        ],
        calls=[*ONE, ("g", '{"x":2}')],
        asked=TOOLS,
    ),
    Shape("D63a", "no id", [stream(called(call(None, "f", '{"x":1}')) + CALLED + DONE)], calls=ONE, asked=TOOLS),
    Shape(
        "D63b",
        "an empty id again and again",
        [stream(called(call("", "f", '{"x"')) + called(call("", "", ":1}")) + CALLED + DONE)],
        calls=ONE,
        asked=TOOLS,
    ),
    Shape(
        "D65a", "no arguments", [stream(called(call("a", "f", "")) + CALLED + DONE)], calls=[("f", "{}")], asked=TOOLS
    ),
    Shape(
        "D66a",
        "the name in every piece",
        [stream(called(call("a", "read_file", '{"x"')) + called(call("a", "read_file", ":1}")) + CALLED + DONE)],
        calls=[("read_file", '{"x":1}')],
        asked=TOOLS,
    ),
    Shape(
        "D66b",
        "an empty name in later pieces",
        [stream(called(call("a", "read_file", '{"x"')) + called(call(None, "", ":1}")) + CALLED + DONE)],
        calls=[("read_file", '{"x":1}')],
        asked=TOOLS,
    ),
    *(
        Shape(
            f"D67{letter}",
            "another id with every piece",
            [
                stream(
                    *(
                        called(call(str(100 + n), "f" if n == 0 else name, piece))
                        for n, piece in enumerate((" ", *'{"x":1}'))
                    ),
                    CALLED + DONE,
                )
            ],
            calls=[("f", ' {"x":1}')],
            asked=TOOLS,
        )
        for letter, name in (("", "f"), ("b", None), ("c", ""))
    ),
    Shape(
        "D68",
        "two entries of one index",
        [
            stream(
                called(call("a", "f", ""), call(None, None, '{"x"')) + called(call(None, None, ":1}")) + CALLED + DONE
            )
        ],
        calls=ONE,
        asked=TOOLS,
    ),
    Shape(
        "D70a",
        "the index as a string",
        [stream(called(call("a", "f", '{"x":1}', index="0")) + CALLED + DONE)],
        calls=ONE,
        asked=TOOLS,
    ),
    Shape(
        "D71", "stop though it calls", [stream(called(call("a", "f", '{"x":1}')) + STOP + DONE)], calls=ONE, asked=TOOLS
    ),
    Shape(
        "D72",
        "arguments cut",
        [stream(called(call("a", "f", '{"x": "ab')) + CALLED + USAGE + DONE)],
        "incomplete",
        calls=[("f", '{"x": "ab')],
        reason="max_output_tokens",
        usage=(3, 2),
        asked=TOOLS,
    ),
    Shape(
        "D75a",
        "a JSON string",
        [stream(called(call("a", "f", '"foo"')) + CALLED + DONE)],
        calls=[("f", '"foo"')],
        asked=TOOLS,
    ),
    Shape(
        "D76",
        "the old way",
        [
            stream(
                chunk({"function_call": {"name": "f", "arguments": '{"x"'}})
                + chunk({"function_call": {"arguments": ":1}"}})
                + ended("function_call")
                + DONE
            )
        ],
        calls=ONE,
        asked=TOOLS,
    ),
    Shape(
        "D79a",
        "text before a call",
        [stream(said("hm") + called(call("a", "f", '{"x":1}')) + CALLED + DONE)],
        text="hm",
        calls=ONE,
        asked=TOOLS,
    ),
]
