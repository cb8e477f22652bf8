"""A tokenizer that renders conversations in XTML, as Kimi K3's own does, by the renderer that lies beside it."""

import json

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from .k3_turns import RenderOptions, ids_of, turns_of


class XtmlTokenizer(PreTrainedTokenizerFast):
    """Has no chat template: messages, tools and options become segments, each encoded by itself."""

    def apply_chat_template(self, conversation, tools=None, tokenize=True, add_generation_prompt=True, **kwargs):
        """Text or ids; what of ``kwargs`` the renderer does not know is left out, as Kimi K3's own code does."""
        known = {name: value for name, value in kwargs.items() if name in RenderOptions.__dataclass_fields__}
        options = RenderOptions(add_generation_prompt=add_generation_prompt, **known)
        segments = [one for turn in turns_of(conversation, tools, options) for one in turn.segments]
        if not tokenize:
            return "".join(one.text for one in segments)
        return [token for ids in ids_of(segments, self._marker_ids, self._plain_ids) for token in ids]

    def _marker_ids(self, text):
        return self.backend_tokenizer.encode(text, add_special_tokens=False).ids

    def _plain_ids(self, text):
        """Ids of a text in which no token is special: by the same tokenizer without its added tokens."""
        if not hasattr(self, "_without_added"):
            said = json.loads(self.backend_tokenizer.to_str())
            self._without_added = Tokenizer.from_str(json.dumps({**said, "added_tokens": []}))
        return self._without_added.encode(text, add_special_tokens=False).ids
