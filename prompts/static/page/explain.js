/**
 * Errors as sentences that say what to do.
 */

const SENTENCES = {
  rate_limit_exceeded: "There were too many requests. Wait a moment, then try again.",
  insufficient_quota: "What is paid for at the model’s provider is used up. Ask whoever runs this service.",
  quota_exceeded: "You keep as much as you may. Delete conversations or files that you no longer need, then try again.",
  overloaded: "The service is busy. Try again in a few seconds.",
  draining: "The service is being restarted. Try again.",
  dependency_unavailable: "The service cannot reach its storage for the moment. Try again in a few seconds.",
  storage_full: "The service’s storage is nearly full. Ask whoever runs it.",
  upstream_error: "The model’s server failed. Try again.",
  upstream_timeout: "The model took too long. Try again, or ask for less.",
  upstream_unavailable: "The model’s server fails again and again. Try again in a minute.",
  server_error: "The answer could not be finished. Try again.",
  replica_lost: "The servers that wrote the answer were lost. What was written is kept. Try again.",
  answer_too_large: "The answer became too large. Ask for less at once.",
  context_length_exceeded: "This is more text than the model can take. Shorten the message, or begin a new conversation.",
  conversation_not_found: "This conversation does not exist any more.",
  history_too_deep: "This conversation has too many versions of versions. Begin a new one.",
  request_too_large: "This is too large to send. Attach it as a file instead, or send less.",
  unsupported_file: "This kind of file cannot be read.",
  invalid_file: "This file cannot be read.",
  internal_error: "Something went wrong at the service. Try again; if it happens again, tell whoever runs it.",
};

/** One sentence for a person. Codes that nobody explained here have the API's own sentence. */
export function explain(error) {
  if (error?.name === "SignedOut") return "You are signed out. Sign in again; what you have typed is kept.";
  if (error?.code === "model_not_found") return "The model is not there any more. Choose another one.";
  if (error?.code === "vector_store_not_found") return "The files of this conversation are not there any more. Try again: the answer is made without them.";
  if (error?.code === "prompt_not_found") return "The template is not there any more. Choose another one.";
  if (error?.name === "NetworkError" || error instanceof TypeError) {
    return navigator.onLine ? "The service cannot be reached. Try again." : "You are offline. Try again when you are back.";
  }
  return SENTENCES[error?.code] ?? error?.message ?? "Something went wrong. Try again.";
}

/** Why an answer ended early; "" when it did not. */
export function explainEnding(answer) {
  if (answer.status === "cancelled") return "Stopped.";
  if (answer.status !== "incomplete") return "";
  const reason = answer.response?.incomplete_details?.reason;
  if (reason === "max_output_tokens") return "The answer ends here because it reached its longest length.";
  if (reason === "content_filter") return "The model’s provider ended the answer here (content filter).";
  return "This answer was not finished.";
}
