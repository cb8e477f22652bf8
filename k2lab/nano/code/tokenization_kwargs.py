"""A tokenizer that, like Kimi K2's first one, takes ``add_generation_prompt`` out of ``**kwargs``."""

from transformers import PreTrainedTokenizerFast

GENERATION_PROMPT = "<|im_assistant|>assistant<|im_middle|>"


class KwargsTokenizer(PreTrainedTokenizerFast):
    """The flag is not in the signature: a caller that inspects it cannot know of the flag."""

    def apply_chat_template(self, conversation, tools=None, tokenize=False, **kwargs):
        """Render; append the generation prompt in Python where the template did not."""
        wanted = kwargs.pop("add_generation_prompt", False)
        kwargs.pop("return_dict", None)
        text = super().apply_chat_template(
            conversation, tools=tools, tokenize=False, add_generation_prompt=wanted, **kwargs
        )
        if wanted and not text.endswith(GENERATION_PROMPT):
            text += GENERATION_PROMPT
        return self.encode(text, add_special_tokens=False) if tokenize else text
