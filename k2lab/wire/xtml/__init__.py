"""Kimi K3's calls: XTML, elements of typed arguments in channels of a message.

An output is ``think``, ``response`` and ``tools``, siblings in this order, of
which the prompt opens the first and whose message then closes::

    REASONING<|close|>think<|sep|><|open|>response<|sep|>CONTENT<|close|>response<|sep|>
    <|open|>tools<|sep|><|open|>call tool="NAME" index="1"<|sep|>
    <|open|>argument key="KEY" type="string"<|sep|>VALUE<|close|>argument<|sep|>
    <|close|>call<|sep|><|close|>tools<|sep|><|close|>message<|sep|>

without line breaks. A value of type ``string`` stands as it is, any other as
JSON; values of attributes escape ``&`` and ``"``. There are no ids: ``index``
counts from 1 in each message. Source: ``encoding_k3.py`` of the checkpoint, by
``vllm/tool_parsers/kimi_k3_tool_parser.py`` of vLLM 0.32.0 and the renders of
canitoolcall 0.1.1.
"""
