"""`/v1/…`: one line an endpoint. `pages` are the OpenAPI document and its page, which the full stack serves."""

from typing import cast

from django.urls import path
from django.utils.functional import SimpleLazyObject
from dmr.openapi import build_schema
from dmr.openapi.openapi import OpenAPI
from dmr.openapi.views import OpenAPIJsonView
from dmr.routing import Router

from prompts.api.client_secrets import ClientSecretsController
from prompts.api.compaction import CompactController, InputTokensController
from prompts.api.conversations import (
    ConversationController,
    ConversationsController,
    ForkController,
    ItemController,
    ItemsController,
)
from prompts.api.export import ExportController
from prompts.api.feedback import FeedbackController
from prompts.api.files import FileContentController, FileController, FilesController
from prompts.api.follow_ups import FollowUpsController
from prompts.api.input_items import InputItemsController
from prompts.api.models import ModelController, ModelsController
from prompts.api.openapi.completing import complete_document
from prompts.api.openapi.page import ApiPage
from prompts.api.passages import PassagesController
from prompts.api.prompts import (
    DefaultVersionController,
    PromptController,
    PromptsController,
    PromptVersionsController,
)
from prompts.api.relay import ChatCompletionsController, EmbeddingsController
from prompts.api.responses import CancelController, ResponseController, ResponsesController
from prompts.api.vector_store_files import (
    CancelFileBatchController,
    FileBatchController,
    FileBatchesController,
    FileBatchFilesController,
    VectorStoreFileController,
    VectorStoreFilesController,
    VectorStoreFileTextController,
)
from prompts.api.vector_stores import VectorStoreController, VectorStoresController, VectorStoreSearchController

urlpatterns = [
    path("responses", ResponsesController.as_view()),
    path("responses/compact", CompactController.as_view()),
    path("responses/input_tokens", InputTokensController.as_view()),
    path("responses/<str:response_id>", ResponseController.as_view()),
    path("responses/<str:response_id>/cancel", CancelController.as_view()),
    path("responses/<str:response_id>/input_items", InputItemsController.as_view()),
    path("responses/<str:response_id>/passages", PassagesController.as_view()),
    path("responses/<str:response_id>/follow_ups", FollowUpsController.as_view()),
    path("responses/<str:response_id>/feedback", FeedbackController.as_view()),
    path("conversations", ConversationsController.as_view()),
    path("conversations/<str:conversation_id>", ConversationController.as_view()),
    path("conversations/<str:conversation_id>/items", ItemsController.as_view()),
    path("conversations/<str:conversation_id>/items/<str:item_id>", ItemController.as_view()),
    path("conversations/<str:conversation_id>/fork", ForkController.as_view()),
    path("conversations/<str:conversation_id>/export", ExportController.as_view()),
    path("files", FilesController.as_view()),
    path("files/<str:file_id>", FileController.as_view()),
    path("files/<str:file_id>/content", FileContentController.as_view()),
    path("vector_stores", VectorStoresController.as_view()),
    path("vector_stores/<str:vector_store_id>", VectorStoreController.as_view()),
    path("vector_stores/<str:vector_store_id>/search", VectorStoreSearchController.as_view()),
    path("vector_stores/<str:vector_store_id>/files", VectorStoreFilesController.as_view()),
    path("vector_stores/<str:vector_store_id>/files/<str:file_id>", VectorStoreFileController.as_view()),
    path("vector_stores/<str:vector_store_id>/files/<str:file_id>/content", VectorStoreFileTextController.as_view()),
    path("vector_stores/<str:vector_store_id>/file_batches", FileBatchesController.as_view()),
    path("vector_stores/<str:vector_store_id>/file_batches/<str:batch_id>", FileBatchController.as_view()),
    path("vector_stores/<str:vector_store_id>/file_batches/<str:batch_id>/cancel", CancelFileBatchController.as_view()),
    path("vector_stores/<str:vector_store_id>/file_batches/<str:batch_id>/files", FileBatchFilesController.as_view()),
    path("client_secrets", ClientSecretsController.as_view()),
    path("prompts", PromptsController.as_view()),
    path("prompts/<str:prompt_id>", PromptController.as_view()),
    path("prompts/<str:prompt_id>/versions", PromptVersionsController.as_view()),
    path("prompts/<str:prompt_id>/set-default-version", DefaultVersionController.as_view()),
    path("chat/completions", ChatCompletionsController.as_view()),
    path("embeddings", EmbeddingsController.as_view()),
    path("models", ModelsController.as_view()),
    path("models/<path:model>", ModelController.as_view()),
]

# Made when somebody first asks for it: it takes as long as everything else that a process does before it serves.
schema = cast(OpenAPI, SimpleLazyObject(lambda: complete_document(build_schema(Router("v1/", urlpatterns)))))

pages = [
    path("v1/openapi.json", OpenAPIJsonView.as_view(schema)),
    path("v1/docs", ApiPage.as_view(schema)),
]
