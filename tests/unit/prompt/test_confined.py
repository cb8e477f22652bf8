"""A template or a tokenizer that k2lab does not know is used under limits, and reaches nothing of Python's."""

import json
import multiprocessing
import os
import sys
import threading

import psutil
import pytest

from k2lab.chat import Request
from k2lab.errors import K2LabError, RenderError, SourceError
from k2lab.nano import folders
from k2lab.prompt import confined, plaindata, sandbox, templates
from k2lab.prompt.rendering import render
from k2lab.prompt.source import open_source
from tests.helpers.models import copied

ASK = Request.of([{"role": "user", "content": "Hi"}])
PLAIN = "{% for m in messages %}{{ m.content }}{% endfor %}"


@pytest.fixture(scope="module", autouse=True)
def strict():
    """Limits that are reached soon."""
    before = list(confined._shared)
    worker = confined.Worker(confined.Limits(cpu_s=1, wall_s=60, memory=512 << 20, text=1 << 20))
    confined._shared[:] = [worker]
    yield worker
    worker.close()
    confined._shared[:] = before


@pytest.fixture
def folder(tmp_path):
    return copied("current", tmp_path / "model")


def rendered(folder, template):
    (folder / "chat_template.jinja").write_text(template)
    return render(folder, ASK)


NO_REAL_ONE = "as no real model's does: look at it, or take another source"
ENDLESS = {
    "loops": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "a constant that is folded as it is compiled": "{{ 10**(10**8) }}",
}
LARGE = {
    "a text": "{{ 'x' * 10**10 }}",
    "a filter": "{{ 'x'|center(10**10) }}",
    "a list of lists": "{% set a = namespace(l=[1]) %}{% for _ in range(40) %}{% set a.l = a.l + a.l %}{% endfor %}",
}
GIANT = {"a loop": "{% for a in range(99999) %}{{ 'x' * 100 }}{% endfor %}", "a format": "{{ '%3000000d' % 1 }}"}
DEEP = {
    "macros": "{% macro f(n) %}{{ f(n+1) }}{% endmacro %}{{ f(0) }}",
    "brackets": "{{ " + "(" * 50_000 + ")" * 50_000 + " }}",
    "blocks": "{% if 1 %}" * 3_000,
    "range": "{{ range(10**9)|list }}",
    "an endless comment": "{#" * 200_000,
    "digits": "{{ 10**4299 * 10**4299 }}",
}


@pytest.mark.parametrize(
    "kind", ["loops", pytest.param("a constant that is folded as it is compiled", marks=pytest.mark.slow)]
)
def test_a_template_without_an_end_is_one_line(folder, kind):
    with pytest.raises(SourceError, match=f"took more than 1 s of processor time, {NO_REAL_ONE}"):
        rendered(folder, ENDLESS[kind])
    assert rendered(folder, PLAIN).text == "Hi"


@pytest.mark.parametrize("kind", LARGE)
def test_a_template_that_wants_all_memory_is_one_line(folder, kind):
    before = psutil.Process().memory_info().rss
    with pytest.raises(SourceError, match=f"more than (512 MiB of memory|1 s of processor time), {NO_REAL_ONE}"):
        rendered(folder, LARGE[kind])
    assert psutil.Process().memory_info().rss - before < 64 << 20
    assert rendered(folder, PLAIN).text == "Hi"


@pytest.mark.parametrize("kind", GIANT)
def test_a_template_that_prints_without_measure_is_one_line(folder, kind):
    with pytest.raises(SourceError, match=f"made a text of more than 1,048,576 characters, {NO_REAL_ONE}"):
        rendered(folder, GIANT[kind])


@pytest.mark.parametrize("kind", DEEP)
def test_a_template_that_python_refuses_is_one_line(folder, kind):
    with pytest.raises(K2LabError) as told:
        rendered(folder, DEEP[kind])
    assert "\n" not in str(told.value) and len(str(told.value)) < 700


ESCAPES = {
    "a class": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "a class by index": "{{ ''['__class__'] }}",
    "a class by a filter": "{{ ''|attr('__class__') }}",
    "a class by map": "{{ ['']|map(attribute='__class__')|list }}",
    "a class by selectattr": "{{ [{}]|selectattr('__class__.__init__')|list }}",
    "a function's globals": "{{ raise_exception.__globals__ }}",
    "a method's function": "{{ messages.append.__self__.__class__ }}{{ strftime_now.__globals__['json'] }}",
    "format": "{{ '{0.__class__.__mro__}'.format(1) }}",
    "format_map": "{{ '{a.__class__}'.format_map({'a': 1}) }}",
    "format by another name": "{% set f = '{0.__class__}'.format %}{{ f(1) }}",
    "format by a filter": "{{ ('{0.__class__}'|attr('format'))(1) }}",
    "a safe string's format": "{{ ('{0.__class__}'|safe).format(1) }}{{ ('{a.__class__}'|e).format_map({'a': 1}) }}",
    "import": "{% import 'os' as os %}",
    "include": "{% include '/etc/passwd' %}",
    "extends": "{% extends '/etc/passwd' %}",
    "lipsum": "{{ lipsum.__globals__['os'] }}",
    "cycler": "{{ cycler.__init__.__globals__ }}",
    "joiner": "{{ joiner.__init__.__globals__ }}",
    "namespace": "{{ namespace.__init__.__globals__ }}",
    "a namespace's class": "{% set n = namespace(__class__=1) %}",
    "a namespace's class set": "{% set n = namespace() %}{% set n.__class__ = 1 %}",
    "a generator's frame": "{% set g = messages|map('upper') %}{{ g.gi_frame.f_globals }}",
    "a macro's caller": "{% macro m() %}{% endmacro %}{{ m._func.__globals__ }}",
    "itself": "{{ self.__init__.__globals__ }}{{ self._TemplateReference__context.environment }}",
    "the loop's own": "{% for m in messages %}{{ loop._undefined.__globals__ }}{% endfor %}",
    "a caller's own": "{% macro m() %}{{ caller.__call__.__globals__ }}{% endmacro %}{% call m() %}{% endcall %}",
    "dict": "{{ dict.__class__.__mro__ }}{{ dict.mro() }}",
    "a bound method's own": "{{ dict.fromkeys.__func__.__globals__ }}",
    "debug": "{% debug %}",
    "what changes the messages": "{{ messages.append(1) }}{{ messages.clear() }}",
    "what changes a message": "{{ messages[0].update({'role': 'x'}) }}",
}
LEAKS = ("<class", "<module", "<function", "<frame", "<built-in", "root:", "builtins", "environment", "jinja2")


@pytest.mark.parametrize("kind", ESCAPES)
def test_no_template_reaches_pythons_own_objects(kind):
    """In this process, as a known one is rendered, and in the confined one."""
    messages = [{"role": "user", "content": "Hi"}]
    for fill in (sandbox.fill, lambda *given: confined.fill("a template", *given)):
        try:
            text = fill(ESCAPES[kind], messages)
        except Exception as error:
            text = str(error) if not isinstance(error, plaindata.Raised) else error.said
            assert "<class" not in text
        else:
            assert not any(leak in text for leak in LEAKS), text
    assert messages == [{"role": "user", "content": "Hi"}]


def test_the_confined_text_is_that_of_the_sandbox():
    history = [
        {"role": "user", "content": [{"type": "text", "text": "ä\ud800 "}, {"type": "text", "text": "😀"}], "n": None},
        {"role": "assistant", "content": "so", "reasoning": "r", "n": (1, 2.5, 10**400, True, None), 3: {4: 5}},
    ]
    tools = [{"type": "function", "function": {"name": "f", "parameters": {}}}]
    template = (
        "{{ messages }}{{ tools | tojson }}{{ x }}{{ messages[1].n[2] }}{% if add_generation_prompt %}!{% endif %}"
    )
    for variables in ({"x": [1]}, {"x": {1, 2}, "add_generation_prompt": True}):
        given = {"tools": tools, "variables": variables}
        assert confined.fill("t", template, history, **given) == sandbox.fill(template, history, **given)
    with pytest.raises(RenderError, match="has no content to go on from"):
        confined.fill("t", PLAIN, [{"role": "user"}], variables={"continue_final_message": True})
    assert confined.reads("t", "{{ a }}{{ b.c }}") == {"a", "b"} and confined.reads("t", "{% if %}") is None


def test_each_template_that_is_made_here_is_known():
    made = {variant.template() for variant in folders.VARIANTS.values() if variant.template}
    current = templates.read(templates.CURRENT)
    made.add(templates.with_content_fault(templates.without_generation_block(current)))
    assert {templates.sha256(text) for text in made} <= templates.KNOWN
    assert len(templates.KNOWN) == len(templates.SHA256) + 3


def test_what_is_known_starts_no_process(monkeypatch):
    monkeypatch.setattr(confined, "_shared", [])
    for name in ("current", "old", "legacy"):
        assert render(folders.assemble(name), ASK).token_ids
    assert confined._shared == []


def test_the_process_stays_from_prompt_to_prompt_and_is_replaced_when_it_has_ended(folder, strict):
    (folder / "chat_template.jinja").write_text(PLAIN)
    source = open_source(folder)
    render(source, ASK)
    first = strict._process.pid
    texts = []
    threads = [threading.Thread(target=lambda: texts.append(render(source, ASK).text)) for _ in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert texts == ["Hi"] * 8 and strict._process.pid == first
    psutil.Process(first).kill()
    strict._process.wait()
    assert render(source, ASK).text == "Hi" and strict._process.pid != first


def test_a_fork_has_a_process_of_its_own(folder, strict):
    (folder / "chat_template.jinja").write_text(PLAIN)
    before = render(folder, ASK).text
    read, write = os.pipe()
    child = multiprocessing.get_context("fork").Process(
        target=lambda: os.write(write, f"{render(folder, ASK).text} {confined._shared[0]._process.pid}".encode())
    )
    child.start()
    child.join()
    text, pid = os.read(read, 99).decode().split()
    assert text == before == render(folder, ASK).text and int(pid) != strict._process.pid


def test_the_process_imports_nothing_from_the_current_folder(folder, tmp_path, monkeypatch):
    for name in ("jinja2", "json", "pickle", "k2lab", "markupsafe", "resource", "sitecustomize", "usercustomize"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    worker = confined.Worker()
    monkeypatch.setattr(confined, "_shared", [worker])
    assert rendered(folder, PLAIN).text == "Hi"
    assert not (tmp_path / "ran").exists()
    environment = psutil.Process(worker._process.pid).environ() if sys.platform == "linux" else {}
    assert "PYTHONPATH" not in environment and "HOME" not in environment
    worker.close()


def change_tokenizer(folder, **more):
    path = folder / "tokenizer.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | more))


SLOW = {"Regex": "(a|aa|aaa)+[^a<]"}
SLOW_SPLIT = {"type": "Split", "pattern": SLOW, "behavior": "Isolated", "invert": False}
GROWS = {
    "type": "Sequence",
    "normalizers": [{"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}] * 60,
}


@pytest.mark.parametrize("more", [{"pre_tokenizer": SLOW_SPLIT}, {"normalizer": GROWS}], ids=["slow", "grows"])
def test_a_tokenizer_without_an_end_is_one_line(folder, more):
    change_tokenizer(folder, **more)
    source = open_source(folder)
    asked = Request.of([{"role": "user", "content": "a" * 300}])
    with pytest.raises(
        K2LabError, match=r"the tokenizer of .* (took more than|ended the process|cannot encode)"
    ) as told:
        render(source, asked)
    assert "\n" not in str(told.value)
    assert render(folders.assemble("current"), asked).token_ids


def test_a_confined_tokenizer_gives_the_ids_and_places_of_the_library(folder, talk):
    change_tokenizer(folder, version="1.0 ")
    (folder / "tokenizer.json").write_text((folder / "tokenizer.json").read_text().replace('"1.0 "', '"1.0"'))
    theirs, ours = render(folder, talk), render(folders.assemble("current"), talk)
    assert type(theirs.tokenizer).__name__ == "ConfinedTokenizer"
    assert theirs.token_ids == ours.token_ids and theirs.pieces == ours.pieces and theirs.parts == ours.parts
    assert theirs.tokenizer.decode(list(ours.token_ids)) == ours.text
    with pytest.raises(K2LabError, match="cannot decode this"):
        theirs.tokenizer.decode([-1])
