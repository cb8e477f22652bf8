"""The tokenizer of ``tokenization_kwargs`` after the fix: the flag is declared in the signature."""

from transformers import PreTrainedTokenizerFast

GENERATION_PROMPT = "<|im_assistant|>assistant<|im_middle|>"


class DeclaredTokenizer(PreTrainedTokenizerFast):
    """The same rendering; a caller that inspects the signature finds ``add_generation_prompt``."""

    def apply_chat_template(self, conversation, tools=None, tokenize=False, add_generation_prompt=False, **kwargs):
        """Render; append the generation prompt in Python where the template did not."""
        kwargs.pop("return_dict", None)
        text = super().apply_chat_template(
            conversation, tools=tools, tokenize=False, add_generation_prompt=add_generation_prompt, **kwargs
        )
        if add_generation_prompt and not text.endswith(GENERATION_PROMPT):
            text += GENERATION_PROMPT
        return self.encode(text, add_special_tokens=False) if tokenize else text
