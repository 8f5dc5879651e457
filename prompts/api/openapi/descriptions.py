"""What the OpenAPI document says of each field whose name and type do not say enough: struct → field → sentence."""

_CONVERSATION = "The conversation it belongs to: its history comes before the input, and what is said joins it."
_INSTRUCTIONS = "A system message that stands before everything else. It does not carry over to the next response."
_STORE = "`false`: nothing is retrievable afterwards; the events go when the answer is delivered."
_METADATA = "Up to 16 pairs of your own: keys of up to 64, values of up to 512 characters."
_PROMPT = {
    "prompt": "The text: instructions that stand before everything else, with a `{{name}}` for each variable.",
    "variables": "The variables: names, or objects that say more of them.",
    "variable_details": "What is known of the variables.",
    "model": "The model of turns that name none.",
    "parameters": "What turns take where they say nothing themselves.",
    "knowledge": "Vector stores that turns search which bring no `file_search` of their own.",
    "follow_ups": "Whether questions that could be asked next are made as soon as an answer is there.",
    "history_tokens": "How much of its history a turn is given, an estimate; at most what the server gives.",
}
_VARIABLE = {
    "type": "`any` is a text, an image or a file.",
    "default": "What stands for it when a turn gives nothing.",
    "values": "The texts that an `enum` may be.",
}

DESCRIPTIONS: dict[str, dict[str, str]] = {
    "CreateResponse": {
        "input": "A string is one message of the user's; else items, in order.",
        "model": "One of those that `GET /v1/models` lists; the server's default when left out.",
        "instructions": _INSTRUCTIONS,
        "conversation": f"{_CONVERSATION} Its id, or an object with it. Excludes `previous_response_id`.",
        "previous_response_id": "Continue from this response: what led to it comes first. Excludes `conversation`.",
        "stream": "Answer with server-sent events.",
        "background": "Answer at once with the response `queued`; read it later, or follow it with `?stream=true`.",
        "store": f"{_STORE} Excludes `background` and `conversation`.",
        "prompt": "A prompt of `/v1/prompts`: its text comes first, and what the request leaves open is as it says.",
        "metadata": _METADATA,
        "tools": "What the model may ask you to call.",
        "tool_choice": "Whether it may, must, or must not; or which of them.",
        "parallel_tool_calls": "Whether it may ask for several at once.",
        "max_tool_calls": "How many calls of tools that a server runs it may make in all.",
        "text": "The form of the answer: text, a JSON object, or JSON after a schema.",
        "reasoning": "How much the model is to think first, and whether it is to say so in short.",
        "temperature": "Higher is more varied.",
        "top_p": "Only tokens among the likeliest, up to this mass.",
        "presence_penalty": "Positive: towards what was not said yet.",
        "frequency_penalty": "Positive: away from repetition.",
        "top_logprobs": "How many alternatives to show a token, where log probabilities are included.",
        "max_output_tokens": "A bound for the answer, thoughts included. What is cut ends as `incomplete`.",
        "truncation": "What to do with a history that the model's window cannot hold.",
        "safety_identifier": "Who asks, as a hash: handed to the model's server.",
        "prompt_cache_key": "Requests with the same key share a cache at the model's server.",
        "prompt_cache_options": "A wish for the cache of the model's server, handed on as it is.",
        "prompt_cache_retention": "A wish for the cache of the model's server, handed on as it is.",
        "user": "The older name of `safety_identifier`.",
        "context_management": "When the history is to be compacted by itself.",
        "eps:if_busy": (
            "When another response is active on the conversation or chain: `reject` this request, `interrupt` that "
            "response, or `wait` for its end. Left out, it is interrupted only if nobody follows it."
        ),
    },
    "PromptParam": {
        "version": "The number of a version; the default one when left out.",
        "variables": "What stands for the prompt's variables: texts, numbers, images and files.",
    },
    "CreatePrompt": _PROMPT,
    "UpdatePrompt": {
        **_PROMPT,
        "version": "The latest version, on which this one follows; if it is not the latest any more, a 409.",
        "set_as_default": "`false`: the default stays as it is.",
    },
    "VariableParam": _VARIABLE,
    "Variable": _VARIABLE,
    "KnowledgeParam": {"when": "`always`: before the model is asked, once; `auto`: when the model wants to."},
    "Prompt": {
        **_PROMPT,
        "variables": "The names of the variables.",
        "version": "The number of this version, from 1 on.",
        "unused_variables": "Variables that the text has no place for.",
        "owner": "Whose it is: staff change everybody's.",
        "created_at": "When this version was made; seconds since 1970.",
    },
    "CompactHistory": {
        "input": "What to compact, after the history of `previous_response_id`; one of the two is needed.",
        "previous_response_id": "Compact what led to this response, and what it said.",
        "instructions": "What the summary is to mind.",
    },
    "CountInput": {
        "conversation": "Count its history, too. Excludes `previous_response_id`.",
        "previous_response_id": "Count what led to this response, and what it said, too.",
    },
    "CreateChatCompletion": {
        "messages": "As OpenAI has them; all fields of Chat Completions go to the model's server as they are.",
        "model": "One of those that `GET /v1/models` lists; the server's default when left out.",
        "stream": "Answer with server-sent events.",
    },
    "CreateEmbeddings": {
        "input": "A text, or several; all fields of Embeddings go to the model's server as they are.",
        "model": "The model of the vectors; the server's default for them when left out.",
    },
    "ContextManagement": {"compact_threshold": "From how many tokens of history (an estimate)."},
    "CreateConversation": {"items": "What it begins with.", "metadata": _METADATA},
    "ForkConversation": {
        "before": "The id of the first item that is not shared. Excludes `after`.",
        "after": "The id of the last item that is shared.",
        "metadata": "The fork's own; without it, its origin's.",
        "eps:title": "The fork's own; without it, its origin's.",
    },
    "Response": {
        "status": "`queued` and `in_progress` are active; the others are final.",
        "created_at": "Seconds since 1970.",
        "completed_at": "Seconds since 1970; null unless `completed`.",
        "incomplete_details": "Why it ends before its end; null unless `incomplete`.",
        "error": "Why it failed; null unless `failed`.",
        "output": "What the model said, in order.",
        "usage": "Tokens, as the model reported them; null until then.",
        "instructions": _INSTRUCTIONS,
        "conversation": "There when it belongs to one.",
        "prompt": "There when it was asked with a template: the version that was used, and the variables as given.",
        "store": _STORE,
        "eps:model_input": "An account of what the model was given.",
        "eps:ignored": "The places in the request that were left out, because this server does not know them.",
    },
    "ConversationBody": {
        "created_at": "Seconds since 1970.",
        "eps:active_response_id": "The response that is being written to it now.",
        "eps:forked_from": "The conversation whose history it shares.",
        "eps:last_used_at": "Seconds since 1970; only in the list of all conversations.",
    },
    "ConversationList": {
        "eps:notices": "There when something is missing: `archive_unavailable`, older conversations.",
    },
    "FollowUpsBody": {
        "data": "Up to three questions.",
        "eps:notices": "Why there are none: `rate_limit_exceeded`, `quota_exceeded`: no tokens are left for them.",
    },
    "ErrorBody": {
        "message": "One sentence for people: what is wrong, and what to do.",
        "type": "The family of the error.",
        "param": "The path of what is wrong in the request: `input[0].role`.",
        "code": "Stable, for programs.",
    },
}
