"""Use case: which models may be asked for."""

from prompts.domain.model_request import Model
from prompts.errors import NotFound
from prompts.ports.chat_model import ChatModel


async def get_model(model_id: str, model: ChatModel) -> Model:
    """The model of that name; any name, where the model's server does not say which it has. Raises NotFound."""
    served = await model.list_models()
    if not served:
        return Model(id=model_id)
    for entry in served:
        if entry.id == model_id:
            return entry
    message = f"The model '{model_id}' does not exist. GET /v1/models lists those that do."
    raise NotFound(message, code="model_not_found", param="model")
