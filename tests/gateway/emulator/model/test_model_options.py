from gateway.emulator.model.model_options import ModelOptions


def test_the_key_is_not_shown() -> None:
    assert "sk-secret" not in repr(ModelOptions("http://127.0.0.1/v1", key="sk-secret"))
