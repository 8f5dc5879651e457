"""Every setting, read once from the environment. A test compares docs/settings.md with them."""

from pathlib import Path
from typing import Any

import dj_database_url

from config import env
from config.files import compose_storage
from config.logs import logging_config
from config.openapi import openapi_config
from config.redis_address import compose_cache

BASE_DIR = Path(__file__).resolve().parent.parent

# --- Where things live -------------------------------------------------------------------------------------------

DATA_DIR = Path(env.text("DATA_DIR", str(BASE_DIR / ".run")))

# --- Security ----------------------------------------------------------------------------------------------------

DEBUG = env.flag("DEBUG", False)
# 32 random characters are beyond guessing; sessions and seals stand on them. Without a key `manage.py check` fails
# (eps.E001), and only commands that need none work.
SECRET_KEY = env.secret("SECRET_KEY", min_characters=32)
SECRET_KEY_FALLBACKS = env.words("SECRET_KEY_FALLBACKS", [])
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.words("CSRF_TRUSTED_ORIGINS", [])
# With HTTPS cookies are secure and the admin redirects to https. `make run` uses plain http on loopback.
HTTPS = env.flag("HTTPS", not DEBUG)
# Whoever reaches the service can send these headers: they are read only when a proxy is declared, which sets
# X-Forwarded-Proto itself and adds the client's address to X-Forwarded-For.
TRUSTED_PROXY = env.flag("TRUSTED_PROXY", False)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUSTED_PROXY else None
SECURE_SSL_REDIRECT = HTTPS
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0  # a year, as browsers' preload lists require
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
SESSION_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SECURE = HTTPS
X_FRAME_OPTIONS = "DENY"
CSRF_FAILURE_VIEW = "prompts.page.views.refuse_forgery"

# --- The service behind the API ----------------------------------------------------------------------------------

REDIS_URL = env.redis_url("REDIS_URL", "redis://127.0.0.1:6379/0")
REDIS_TIMEOUT_S = env.seconds("REDIS_TIMEOUT_S", 2.0)
# The most connections of a process: one that most commands share, one that listens, the others for one command each.
REDIS_MAX_CONNECTIONS = env.integer("REDIS_MAX_CONNECTIONS", 64, minimum=3)
WEAVIATE_URL = env.find_text("WEAVIATE_URL")
WEAVIATE_GRPC_PORT = env.integer("WEAVIATE_GRPC_PORT", 50051, minimum=1)
WEAVIATE_API_KEY = env.find_text("WEAVIATE_API_KEY")

OPENAI_BASE_URL = env.text("OPENAI_BASE_URL", "https://api.openai.com/v1")
MODEL_PROTOCOL = env.choice("MODEL_PROTOCOL", "chat_completions", ("chat_completions", "responses"))
OPENAI_API_KEY = env.text("OPENAI_API_KEY", "")
DEFAULT_MODEL = env.text("DEFAULT_MODEL", "gpt-5-mini")
EMBEDDING_MODEL = env.text("EMBEDDING_MODEL", "text-embedding-3-small")
# For the passages in Weaviate; without one they are found by words alone.
KNOWLEDGE_MODEL = None if EMBEDDING_MODEL == "none" else EMBEDDING_MODEL
# A question asked again soon, a file put again. A vector is 6 kB in Redis, beside the conversations: not for days.
EMBEDDING_CACHE_S = env.integer("EMBEDDING_CACHE_S", 3_600, minimum=1)
MODEL_CONNECT_S = env.seconds("MODEL_CONNECT_S", 5.0)
# A reasoning model thinks before its first token; OpenAI's own client waits 10 minutes.
MODEL_FIRST_TOKEN_S = env.seconds("MODEL_FIRST_TOKEN_S", 120.0)
MODEL_BREAKER_FAILURES = env.integer("MODEL_BREAKER_FAILURES", 5)
MODEL_SILENCE_S = env.seconds("MODEL_SILENCE_S", 60.0)
# Sent with every request to the model's server that does not say otherwise.
MODEL_OPTIONS = env.json_object("MODEL_OPTIONS")
# Its own options, which a client may set at the top of its request; not part of OpenAI's API.
MODEL_OPTION_NAMES = env.words(
    "MODEL_OPTION_NAMES",
    [
        "top_k",
        "min_p",
        "typical_p",
        "seed",
        "stop",
        "repetition_penalty",
        "logit_bias",
        "chat_template_kwargs",
        "structured_outputs",
    ],
)
# What this server does not know of a request is left out and named, or refused. Refusing is for finding typing errors.
STRICT_REQUESTS = env.flag("STRICT_REQUESTS", False)
# Hosts that clients may name in addresses of images and files. The model's server opens them, from inside: by default
# only public ones may be named.
MEDIA_HOSTS = env.words("MEDIA_HOSTS", ["*"])
MODEL_ALIASES = env.json_strings("MODEL_ALIASES")
REASONING_REPLAY = env.choice("REASONING_REPLAY", "tools", ("tools", "always", "never"))
SYSTEM_MESSAGES = env.choice("SYSTEM_MESSAGES", "merge", ("merge", "keep"))
THINK_TAGS = env.words("THINK_TAGS", [])

HISTORY_TOKENS = env.integer("HISTORY_TOKENS", 8_000)
# Images are few tokens and many bytes, and an answer holds its window in memory several times over. The least is the
# largest item that one request may bring.
HISTORY_BYTES = env.integer("HISTORY_BYTES", 16 * 1024 * 1024, minimum=10 * 1024 * 1024)
PASSAGE_TOKENS = env.integer("PASSAGE_TOKENS", 4_000, minimum=200)
MAX_RUNS = env.integer("MAX_RUNS", 400, minimum=1)
MAX_RUN_S = env.seconds("MAX_RUN_S", 600.0)
# Four million tokens of text; log probabilities count too. A worker's memory holds a few times as much of each answer.
MAX_ANSWER_BYTES = env.integer("MAX_ANSWER_BYTES", 16_000_000, minimum=1_000)
LEASE_S = env.seconds("LEASE_S", 10.0, minimum=1.0)
# Below the idle limit of every common proxy; a stricter one before the service may need less.
KEEP_ALIVE_S = env.seconds("KEEP_ALIVE_S", 15.0, minimum=1.0)
DRAIN_S = env.seconds("DRAIN_S", 30.0)
# What the orchestrator allows between SIGTERM and SIGKILL; 0: unknown. Only checked, never waited for.
GRACE_PERIOD_S = env.seconds("GRACE_PERIOD_S", 0.0, minimum=0.0)
# 0 means never.
MAX_REQUESTS = env.integer("MAX_REQUESTS", 0)
MAX_WORKER_MB = env.integer("MAX_WORKER_MB", 0)
# What one owner may take; 0 means no limit. The last tenth of MAX_RUNS is for others in any case.
MAX_OWNER_RUNS = env.integer("MAX_OWNER_RUNS", 0)
# Ten processes' worth: more than one owner's people ask at once, or the model's server answers at once.
MAX_OWNER_RUNS_IN_ALL = env.integer("MAX_OWNER_RUNS_IN_ALL", 4_000)
# What an owner may keep. 0: half of the `maxmemory` of Redis, so that no owner alone fills it; without one, no limit.
MAX_OWNER_BYTES = env.integer("MAX_OWNER_BYTES", 0)
# As many as OpenAI allows its largest customers: who is used to its limits meets no new one.
REQUESTS_PER_MINUTE = env.integer("REQUESTS_PER_MINUTE", 30_000)
# What tokens cost, and how many a model's server can give, is known to its operator alone. With a limit, a turn takes
# one round trip more.
TOKENS_PER_MINUTE = env.integer("TOKENS_PER_MINUTE", 0)
TOKENS_PER_MONTH = env.integer("TOKENS_PER_MONTH", 0)
CONVERSATION_RETENTION_S = env.integer("CONVERSATION_RETENTION_S", 2_592_000, minimum=1)  # 30 days
EVENT_LOG_RETENTION_S = env.integer("EVENT_LOG_RETENTION_S", 3_600, minimum=1)
MAX_BODY_BYTES = 10 * 1024 * 1024  # docs/api.md, "Limits"
# Of the pages: forms. Below Django's FILE_UPLOAD_MAX_MEMORY_SIZE, above which a body becomes a file.
MAX_PAGE_BODY_BYTES = 2_500_000
# 200 runs with inputs of a megabyte: what agents send late in a long session.
MAX_BODIES_MB = env.integer("MAX_BODIES_MB", 256, minimum=16)

# --- WebSockets --------------------------------------------------------------------------------------------------

# Off: an upgrade is answered 426, and clients go on over HTTP.
WEBSOCKETS = env.flag("WEBSOCKETS", True)
# One is about 50 kB of memory while it is idle, and a file descriptor.
MAX_SOCKETS = env.integer("MAX_SOCKETS", 4_000, minimum=1)
# Half of them, so that no owner alone takes all.
MAX_OWNER_SOCKETS = env.integer("MAX_OWNER_SOCKETS", 2_000, minimum=1)
# OpenAI's limit, which its clients expect.
MAX_SOCKET_S = env.seconds("MAX_SOCKET_S", 3_600.0, minimum=1.0)
# What all connections of a process remember of turns that are not stored: a thousand histories of 256 kB.
MAX_REMEMBERED_MB = env.integer("MAX_REMEMBERED_MB", 256, minimum=1)

# --- Files -------------------------------------------------------------------------------------------------------

# Of one upload. A vector store reads no longer text out of it than `prompts/adapters/extraction/` allows.
MAX_FILE_MB = env.integer("MAX_FILE_MB", 64, minimum=1)
# Of all uploads that a process takes at once: they are on its disk until they are whole. 32 of the largest.
MAX_UPLOADS_MB = env.integer("MAX_UPLOADS_MB", 2_048, minimum=1)
# Of all files of one owner, over all replicas; 0: no limit.
MAX_OWNER_FILES_MB = env.integer("MAX_OWNER_FILES_MB", 10_000)
FILES_S3_BUCKET = env.find_text("FILES_S3_BUCKET")
FILES_S3_ENDPOINT_URL = env.find_text("FILES_S3_ENDPOINT_URL")
FILES_S3_REGION = env.find_text("FILES_S3_REGION")
FILES_S3_ACCESS_KEY = env.find_text("FILES_S3_ACCESS_KEY")
FILES_S3_SECRET_KEY = env.find_text("FILES_S3_SECRET_KEY")
FILES_DIR = DATA_DIR / "files"

READYZ_REQUIRED = env.words("READYZ_REQUIRED", ["redis", "weaviate"] if WEAVIATE_URL else ["redis"])
READYZ_TIMEOUT_S = env.seconds("READYZ_TIMEOUT_S", 1.0)

# --- Django ------------------------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "dmr",
    "config",
    "prompts",
    "health",
]
# The full stack: admin and pages. The lean handler serves the API and the probes, see config/asgi.py.
MIDDLEWARE = [
    "config.middleware.page_request_id",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "config.middleware.few_pages_at_once",
    "config.middleware.refuse_what_sql_cannot_hold",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "config.staff_login.staff_login",
    "prompts.page.user_secrets.end_secrets",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
# Outermost first. Async only: none may use a thread.
LEAN_MIDDLEWARE = [
    "config.middleware.request_id",
    "config.middleware.traced",
    "config.middleware.close_while_draining",
    "prompts.api.cors.cors",
    "prompts.api.errors.envelope",
    "prompts.api.upgrades.refuse_upgrades",
]
ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"
TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "config" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
STATIC_URL = "static/"
# Unset: static files are served from the packages, without collectstatic. Set, as in the image: from this directory,
# where collectstatic has put them under names that contain a hash of the content, so that browsers may keep them.
STATIC_ROOT = env.find_text("STATIC_ROOT")
STORAGES: dict[str, Any] = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "config.static_files.HashedStaticFiles"
        if STATIC_ROOT
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
    "files": compose_storage(
        folder=FILES_DIR,
        bucket=FILES_S3_BUCKET,
        endpoint_url=FILES_S3_ENDPOINT_URL,
        region=FILES_S3_REGION,
        key=FILES_S3_ACCESS_KEY,
        secret=FILES_S3_SECRET_KEY,
    ),
}
WHITENOISE_USE_FINDERS = not STATIC_ROOT
WHITENOISE_KEEP_ONLY_HASHED_FILES = True  # pages name no others
WHITENOISE_AUTOREFRESH = False
LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- SQL: keys, prompts, the archive; no turn uses it ------------------------------------------------------------

DATABASE_URL = env.text("DATABASE_URL", f"sqlite:///{DATA_DIR / 'db.sqlite3'}")
DATABASES: dict[str, Any] = {"default": dj_database_url.parse(DATABASE_URL, conn_max_age=0)}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"]["OPTIONS"] = {
        # WAL: readers and the writer do not block each other. IMMEDIATE takes the write lock first, where it can wait.
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        "transaction_mode": "IMMEDIATE",
        "timeout": 5,
    }
elif DATABASES["default"]["ENGINE"] == "django.db.backends.postgresql":
    # A server whose machine is gone says nothing any more, and whoever waits for it waits for hours. So it is asked.
    silence = {"connect_timeout": 10, "keepalives_idle": 15, "keepalives_interval": 5, "keepalives_count": 3}
    DATABASES["default"]["OPTIONS"] = {**silence, "tcp_user_timeout": 30_000, **DATABASES["default"].get("OPTIONS", {})}
# A copy of all conversations in SQL, for staff, for searches in what was said, and for what Redis lets go.
ARCHIVE = env.flag("ARCHIVE", True)

# --- Cache and sessions: django-redis, in a database of their own ------------------------------------------------

CACHE_URL = env.redis_url("CACHE_URL", "redis://127.0.0.1:6379/1")
CACHES = {
    "default": {
        "BACKEND": "django_redis.cache.RedisCache",
        **compose_cache(CACHE_URL, timeout_s=REDIS_TIMEOUT_S),
        # Another prefix than releases up to 0.1 had: their values are pickles.
        "KEY_PREFIX": "eps-cache-json",
    }
}
if not CACHES["default"]["OPTIONS"].get("SENTINELS"):
    # Sessions of many pages at once wait for a connection; the driver's own pool never closes one, and has no bound.
    CACHES["default"]["OPTIONS"] |= {
        "CONNECTION_POOL_CLASS": "redis.connection.BlockingConnectionPool",
        "CONNECTION_POOL_KWARGS": {"max_connections": REDIS_MAX_CONNECTIONS, "timeout": REDIS_TIMEOUT_S},
    }
# Reading a pickle runs what is in it: whoever can write to the cache would run code here. JSON is only read.
CACHES["default"]["OPTIONS"]["SERIALIZER"] = "django_redis.serializers.json.JSONSerializer"
SESSION_ENGINE = "config.sessions"
SESSION_CACHE_ALIAS = "default"
SESSION_SERIALIZER = "django.contrib.sessions.serializers.JSONSerializer"
# Django's default puts messages into a cookie first.
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
# Guesses at staff passwords, see config/staff_login.py: at most 1,440 a day at one name.
LOGIN_ATTEMPTS = env.integer("LOGIN_ATTEMPTS", 5, minimum=1)
LOGIN_PAUSE_S = env.seconds("LOGIN_PAUSE_S", 300.0, minimum=1.0)
AUTHENTICATION_BACKENDS = ["config.staff_login.SlowedBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]

# --- Logs --------------------------------------------------------------------------------------------------------

LOG_FORMAT = env.choice("LOG_FORMAT", "json", ("json", "console"))
LOG_LEVEL = env.choice("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR"))
LOGGING = logging_config(LOG_FORMAT, LOG_LEVEL)

# --- The OpenAPI document and its page ---------------------------------------------------------------------------

DMR_SETTINGS: dict[str, Any] = {
    # The API's answers are bytes that are already encoded; tests check them against the specification's models.
    "validate_responses": False,
    "openapi_config": openapi_config(),
}
