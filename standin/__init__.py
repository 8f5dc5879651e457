"""A stand-in for the model: says only what follows from the messages it is given, and misbehaves when it is told to.

    uvicorn standin.app:app --port 8100 --timeout-graceful-shutdown 1

It speaks OpenAI's Chat Completions and Responses (whole and streamed), Embeddings and Models under `/v1`, for the
models "stand-in" and "stand-in-embedding". Any API key will do, unless the environment names one in STANDIN_API_KEY.

What it says
    "My name is Ada." … "What is my name?"      Your name is Ada.       (newest fact wins; tool results count too)
    the same, when nobody said so               I do not know your name: nobody told me in this conversation.
    numbered passages (`[2] text`), a question  the sentences that match best, word for word, each ending in … [2]
    "count to 5" / "write 20 words"             1 2 3 4 5 / exactly 20 words, always the same
    "repeat: TEXT"                              TEXT, to the end of the message, line breaks and all
    a tool's name, or tool_choice               a call with valid arguments (`city=Paris` or "quoted" texts are used),
                                                one for each tool that is mentioned
    a tool result last                          NAME returned: RESULT (or from its passages), then what was asked
    response_format                             a valid document; strings named answer, text … hold the plain answer,
                                                and lists of questions or suggestions three short ones
    "What do you see?", "Describe …"            how many images and files there are in all messages, and of each: media
                                                type, size and the first 8 digits of its SHA-256, or its URL; an
                                                image's detail, a file's name. Nothing is fetched or looked into, but
                                                broken data is refused. There is no audio
    a system message that asks for a summary    the facts in it, one a line, and what functions returned; of the
    of a transcript, which the user sends       assistant's entries nothing. Entries stand below lines in brackets
    "Who are you?"                              what it is
    anything else                               You said: …, what it is, and how many messages it sees

It continues an answer when the last message is the assistant's unfinished text, or when that is followed by a user or
system message that asks to "continue exactly where it stopped". If the text is the beginning of its own answer, it
sends exactly the rest; if not, " … " and the whole answer. Tokens put together again are exactly the text.

The Responses protocol gets the same answers: `instructions` are a system message, `text.format` is the response format,
items are read as the messages they are. It is a server that keeps nothing: the whole window is replayed as input items,
`store` may be false or absent, and store: true, background, conversation and prompt are refused with 400. So is all
that OpenAI refuses: unknown parameters, previous_response_id, item references, calls without results and results
without calls, reasoning that no output follows, reasoning items with a status, content of the wrong kind for a role.
What was thought is handed out as `encrypted_content` where `include` asks for it, and taken back; anybody else's is
refused. Likelihoods (`logprobs`) are made up, but steady, and the same in both protocols. Errors have OpenAI's codes
(unknown_parameter, invalid_encrypted_content …); a stream has no [DONE].

What a tester can ask of it: `[[standin key=value key="two words" flag]]` in the last user message (it is not part of
what the user said, and holds for the continuation of the answer too). The same words in the environment's
STANDIN_DEFAULTS, or as JSON in `POST /_control/defaults`, hold for every request that does not say otherwise;
embeddings obey only defaults, and of them headers_s, status, retry_after, code, fail and key. Unknown keys get a 400.

    headers_s=S         nothing is sent for S seconds, not even headers
    first_token_s=S     headers at once (and response.created, response.in_progress), the first token S seconds later
    token_s=S           a pause of S seconds a token after the first event; a whole answer takes as long as its stream
    tokens_at_once=N    N tokens in an event (default 1)
    status=NNN          answer this error status instead
    retry_after=S       with that header
    fail=K              only the first K requests go wrong: with the status (500 if none is given) or as one of the
                        *_after below says; then all is well. The count is kept by process
    key=NAME            what `fail` counts by; default: the conversation's messages (a continuation counts with them)
    cut_after=N         after N tokens the connection is aborted
    end_after=N         after N tokens the stream ends cleanly, with neither finish_reason nor [DONE]
    silence_after=N     after N tokens nothing more; the connection stays open until the client leaves
    garbage_after=N     after N tokens bytes that are not an event, and the end
    error_after=N       after N tokens `data: {"error": {…}}` (Responses: the event `error`), and the end
    failed_after=N      after N tokens response.failed, with what was written; in Chat Completions as error_after
    code=CODE           the code of the error in status, error_after and failed_after
    finish=REASON       this finish_reason (content_filter, length …); in Responses anything but stop and tool_calls is
                        an incomplete response
    reason=TEXT         TEXT is thought aloud first (`reasoning_content`; Responses: a reasoning item with that text),
                        and counted as reasoning tokens
    summary=TEXT        TEXT sums up what was thought, where a Responses request asks for it with `reasoning.summary`
    interleave=N        tool calls made together take turns, N tokens each, instead of following one another
    bad_json            the arguments of calls, and the document of a response_format, lack their last character
    refuse              a refusal (`refusal`) instead of content
    echo_prefix         a continuation begins with the given text, as Mistral's server does
    no_prefix           an unfinished answer as the last message is refused with a 400, as by Anthropic's newer models;
                        with a message behind it that asks to continue, it is continued
    no_usage            no usage anywhere

If several *_after are given the first to happen counts; one that lies beyond the answer's end never happens. In a whole
answer they become: half a body and an abort, half a body, silence without headers, garbage, status 500, and a response
whose status is failed. N counts what was thought and called too, so that an answer can break anywhere: first come the
summary and the reasoning, then the text, then the calls. A tool call's id and name count as a token, its arguments as
theirs.

What a tester can look at, without a key
    GET    /healthz
    GET    /_control/calls?since=N                  what was asked (every POST under /v1), from index N on, oldest first
    DELETE /_control/calls                          forget them; indexes go on rising
    GET    /_control/active?until=N&within_s=S      {"active": n}; with `until` it first waits, S seconds at most (5)
    GET, POST, DELETE /_control/defaults            see, replace, reset the defaults; a reset also forgets `fail`
"""
