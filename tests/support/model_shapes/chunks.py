"""Chunks that leave things out, or say them in another form: text, usage, thoughts."""

from tests.support.model_shapes.shape import COUNTED, DONE, HI, STOP, WHOLE, Shape, chunk, event, said, stream
from tests.support.raw_model import Step

THINKING = {"reasoning": {"effort": "low"}}
LOGPROBS = {"include": ["message.output_text.logprobs"], "top_logprobs": 1}
KEEP_ALIVE = event({"id": "x", "model": "keepalive", "created": 0, "choices": [{"index": 0, "delta": {"content": ""}}]})
KEPT_AWAKE: list[Step] = [KEEP_ALIVE, 0.25] * 80

CHUNKS = [
    Shape("D27", "usage after the reason", [stream(WHOLE)], text="hi", usage=(3, 2)),
    Shape(
        "D29a",
        "delta: null",
        [
            stream(
                event({"choices": [{"index": 0, "delta": None, "finish_reason": None}]}),
                HI,
                event({"choices": [{"index": 0, "delta": None, "finish_reason": "stop"}]}) + DONE,
            )
        ],
        text="hi",
    ),
    Shape(
        "D30",
        "filter results first",
        [
            stream(
                event({"id": "", "model": "", "choices": [], "prompt_filter_results": [{"prompt_index": 0}]})
                + HI
                + STOP
                + DONE
            )
        ],
        text="hi",
    ),
    Shape(
        "D31",
        "the role in every chunk",
        [
            stream(
                said(None, role="assistant") + said("hi", role="assistant") + said(None, role="assistant") + STOP + DONE
            )
        ],
        text="hi",
    ),
    Shape(
        "D33",
        "text and reason together",
        [stream(said("h") + chunk({"content": "i"}, finish="stop") + DONE)],
        text="hi",
    ),
    Shape(
        "D34",
        "another choice between",
        [stream(event({"choices": [{"index": 1, "delta": {"content": "no"}}]}) + HI + STOP + DONE)],
        text="hi",
    ),
    Shape(
        "D35",
        "usage grows",
        [
            stream(
                chunk({"content": "h"}, usage={**COUNTED, "completion_tokens": 1})
                + chunk({"content": "i"}, usage=COUNTED)
                + STOP
                + DONE
            )
        ],
        text="hi",
        usage=(3, 2),
    ),
    Shape(
        "D36a",
        "usage in floats",
        [stream(HI + STOP + event({"choices": [], "usage": {"prompt_tokens": 3.0, "completion_tokens": 2.0}}) + DONE)],
        text="hi",
        usage=(3, 2),
    ),
    Shape(
        "D36c",
        "usage with a null",
        [stream(HI + STOP + event({"choices": [], "usage": {"prompt_tokens": 3.0, "completion_tokens": None}}) + DONE)],
        text="hi",
        usage=(3, 0),
    ),
    Shape(
        "D36d",
        "negative usage",
        [stream(HI + STOP + event({"choices": [], "usage": {"prompt_tokens": -3, "completion_tokens": 2}}) + DONE)],
        text="hi",
    ),
    Shape(
        "D37",
        "message in place of delta",
        [
            stream(
                event(
                    {
                        "choices": [
                            {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
                        ]
                    }
                )
                + DONE
            )
        ],
        text="hi",
    ),
    Shape("D39a", "keep-alive chunks", [stream(KEEP_ALIVE * 2, 0.05, HI + STOP + DONE)], text="hi"),
    Shape(
        "D39b",
        "keep-alive chunks and never a token",
        [stream(*KEPT_AWAKE)],
        "failed",
        http=504,
        code="upstream_timeout",
        within_s=20,
    ),
    Shape(
        "D40b",
        "a likelihood that is no number",
        [
            stream(
                b'data: {"choices":[{"index":0,"delta":{"content":"hi"},"logprobs":{"content":[{"token":"hi",'
                b'"logprob":NaN,"bytes":null,"top_logprobs":[]}]}}]}\n\n' + STOP + DONE
            )
        ],
        text="hi",
        asked=LOGPROBS,
    ),
]

THOUGHTS = [
    Shape(
        "D41a",
        "Mistral's list",
        [
            stream(
                said([{"type": "thinking", "thinking": [{"type": "text", "text": "t"}]}])
                + said([{"type": "text", "text": "hi"}])
                + said(" there")
                + STOP
                + DONE
            )
        ],
        text="hi there",
        thought="t",
        asked=THINKING,
    ),
    Shape(
        "D42",
        "a reference between",
        [
            stream(
                said([{"type": "text", "text": "hi"}])
                + said([{"type": "reference", "reference_ids": [1]}])
                + said("!")
                + STOP
                + DONE
            )
        ],
        text="hi!",
    ),
    Shape(
        "D43",
        "reasoning_content",
        [stream(chunk({"reasoning_content": "t"}) + WHOLE)],
        text="hi",
        thought="t",
        asked=THINKING,
    ),
    Shape("D44", "reasoning", [stream(chunk({"reasoning": "t"}) + WHOLE)], text="hi", thought="t", asked=THINKING),
    Shape(
        "D45",
        "both at once",
        [stream(chunk({"reasoning": "t", "reasoning_content": "t"}) + WHOLE)],
        text="hi",
        thought="t",
        asked=THINKING,
    ),
    Shape(
        "D46",
        "only reasoning_details",
        [stream(chunk({"reasoning_details": [{"type": "reasoning.text", "text": "t"}]}) + WHOLE)],
        text="hi",
        thought="t",
        asked=THINKING,
    ),
    Shape(
        "D47",
        "an object as a thought",
        [stream(chunk({"reasoning": {"text": "t"}}) + WHOLE)],
        text="hi",
        thought="t",
        asked=THINKING,
    ),
    Shape(
        "D48a",
        "tags in the text",
        [stream(said("<thi") + said("nk>t</th") + said("ink>hi") + STOP + DONE)],
        text="<think>t</think>hi",
    ),
    Shape(
        "D48c",
        "another marker",
        [stream(said("t<|END_THI") + said("NKING|>hi") + STOP + DONE)],
        text="t<|END_THINKING|>hi",
    ),
    Shape(
        "D48d", "a quoted tag", [stream(said("`</th") + said("ink>` ends it") + STOP + DONE)], text="`</think>` ends it"
    ),
]
