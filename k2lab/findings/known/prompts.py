"""Faults of a prompt: what a server made of a request, beside what the model's own template and tokenizer make."""

from __future__ import annotations

from k2lab.findings.entries import BLOG, INSTRUCT_0905, Entry, issue

ENTRIES = (
    Entry(
        code="P001",
        name="generation_prompt_dropped",
        title="generation prompt dropped",
        looks_at="whether the prompt ends with the tokens that open the assistant's turn",
        why="the model does not know that it is its turn: it goes on with the user's, or answers in no format at all",
        fix="serve a chat template that reads add_generation_prompt itself (Kimi-K2-Instruct-0905 from commit 94a4053e"
        " on), or vLLM 0.11.1 or later",
        layers=("render",),
        sources=(BLOG, "https://github.com/vllm-project/vllm/pull/25794", INSTRUCT_0905),
    ),
    Entry(
        code="P002",
        name="content_printed_as_list",
        title="list literal in the prompt",
        looks_at="whether a content stands in the prompt as a Python list, as [{'type': 'text', 'text': ''}]",
        why="the model reads program text where a message belongs, and copies the habit",
        fix="serve a template that renders both kinds of content (Kimi-K2-Instruct-0905 from commit 94a4053e on), start"
        " vLLM with --chat-template-content-format string, or send null instead of '' (k2lab repair)",
        layers=("render",),
        sources=(
            BLOG,
            "https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html#chat-template",
            INSTRUCT_0905,
        ),
    ),
    Entry(
        code="P003",
        name="tools_not_prepared",
        title="another prompt than the source's: bare template",
        looks_at="whether the tools stand as the model's tokenizer prepares them: keys sorted, from K2.5 on TypeScript",
        why="the declaration has a form that the model was not trained on",
        fix="serve the checkpoint with its own tokenizer code (vLLM and SGLang: --trust-remote-code), or send"
        " /completions a prompt that was rendered right (k2lab complete)",
        layers=("declare",),
        sources=(issue("smg-project/smg", 1448),),
    ),
    Entry(
        code="P004",
        name="arguments_rewritten",
        title="another prompt than the source's: arguments written anew",
        looks_at="whether the arguments of earlier calls stand in the prompt as they were sent",
        why="the model sees its own calls in another spelling, and a prefix cache misses",
        fix="vLLM (0.11.0, 0.32.0) decodes the arguments, and the template prints them with ', ' and ': ' between; send"
        " them so, and the prompt is the same everywhere",
        layers=("render",),
        level="warning",
    ),
    Entry(
        code="P005",
        name="prompt_differs",
        title="another prompt than the source's",
        looks_at="the server's prompt beside the source's own, id by id",
        why="what was measured with the right prompt says nothing about this one",
        fix="see all differences with k2lab diff; then compare the server's template, tokenizer code, content format"
        " and flags with the source's, and the request's chat_template_kwargs",
        layers=("declare", "render"),
    ),
    Entry(
        code="P006",
        name="template_of_another_family",
        title="template of another family",
        looks_at="whether the prompt is the one that another family's template gives",
        why="each family has its own declaration of tools, default system text and thinking tags",
        fix="serve the template that came with the weights, at the same revision",
        layers=("render",),
    ),
    Entry(
        code="P007",
        name="tools_not_declared",
        title="tools missing from the prompt",
        looks_at="whether the declared tools stand in the prompt at all",
        why="the model invents tools, or says that it has none",
        fix="serve the model's own template; on vLLM --enable-auto-tool-choice --tool-call-parser kimi_k2",
        layers=("declare", "render"),
    ),
    Entry(
        code="P008",
        name="tools_injected",
        title="something declared that was not sent",
        looks_at="whether the prompt of a request is longer than its messages and tools account for",
        why="a model with instructions or tools that nobody asked for calls them",
        fix="look for a system prompt, a plugin or tools that the vendor adds; ask for a way to switch them off",
        layers=("serve",),
        level="warning",
    ),
    Entry(
        code="P009",
        name="renderer_missing",
        title="no code that makes the prompts",
        looks_at="whether a folder of Kimi K3's, which has no chat template, has the class that makes its prompts",
        why="vLLM's --tokenizer-mode kimi_k3 calls the tokenizer's own apply_chat_template: every chat request fails",
        fix="fetch all Python files of the checkpoint, and serve it with --trust-remote-code",
        layers=("render",),
    ),
    Entry(
        code="P010",
        name="markers_no_tokens",
        title="markers of the format that are no tokens",
        looks_at="whether each marker of Kimi K3's format is one token of the folder's tokenizer",
        why="the prompt is written in pieces of text that the model never saw, and no parser finds its answers",
        fix="fetch tokenizer_config.json and the tokenizer's own file from the checkpoint, both at the same revision",
        layers=("render", "parse"),
    ),
)
