"""Real processes: web server, scheduler and worker as the Procfile starts them; a Redis and a database of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.pages import Admin
from tests.acceptance.product import PASSWORD, Product
from tests.support.programs import environment, python


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database with an administrator, to be copied."""
    folder = tmp_path_factory.mktemp("database")
    prepare = (
        "import django; django.setup()\n"
        "from django.core.management import call_command\n"
        "from django.contrib.auth import get_user_model\n"
        "call_command('migrate', interactive=False, verbosity=0)\n"
        f"get_user_model().objects.create_superuser('admin', '', {PASSWORD!r})\n"
    )
    done = python(
        "-c",
        prepare,
        env=environment(
            DJANGO_SETTINGS_MODULE="tests.acceptance.settings",
            VAR_DIR=str(folder),
            DATABASE_URL=f"sqlite:///{folder}/db.sqlite3",
            REDIS_URL="unix:///nowhere/redis.sock",
        ),
    )
    assert done.returncode == 0, done.stderr
    return folder / "db.sqlite3"


@pytest.fixture(scope="module")
def make_product(empty_database: Path) -> Iterator[Callable[..., Product]]:
    """Make products whose processes end with the tests of a file."""
    made: list[Product] = []

    def make(**variables: str) -> Product:
        made.append(Product(empty_database, **variables))
        return made[-1]

    yield make
    for product in made:
        product.close()


@pytest.fixture(scope="module")
def shared_product(make_product: Callable[..., Product]) -> Product:
    """One product for the tests of a file."""
    return make_product()


@pytest.fixture
def product(shared_product: Product) -> Product:
    """The product with everything running, whatever the test before left."""
    shared_product.ensure("redis", "web", "rqscheduler", "rqworker")
    return shared_product


@pytest.fixture
def admin(product: Product) -> Iterator[Admin]:
    """Somebody who is logged in to the admin, and deletes in the end what was added."""
    somebody = product.admin()
    yield somebody
    product.ensure("redis", "web")
    for schedule_id in somebody.added:
        somebody.delete(schedule_id)
