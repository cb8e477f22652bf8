"""Schemas for the tests of their translation: each keyword, their combinations, and parameters as tools have them."""

import json

from k2lab.enforcer.schema.formats import FORMATS
from tests.conftest import SHARED

S, I, N, B, NULL = ({"type": kind} for kind in ("string", "integer", "number", "boolean", "null"))  # noqa: E741


def obj(properties, required=(), **more):
    return {"type": "object", "properties": properties, "required": list(required), **more}


def arr(items, **more):
    return {"type": "array", "items": items, **more}


def p(schema, **more):
    """An object with one required property."""
    return obj({"p": schema}, ["p"], **more)


TREE = obj({"v": I, "c": arr({"$ref": "#/$defs/t"})}, ["v"])
CAT = obj({"kind": {"const": "cat"}, "lives": I}, ["kind", "lives"])
DOG = obj({"kind": {"const": "dog"}, "name": S}, ["kind"])
ODD = ["", "a b", 'a"b', "é", "a/b", "a~b", "<|x|>", "日本", "a\\b", "a\nb", "😀", "$ref", "properties"]

TYPES = {
    **{f"type {s['type']}": p(s) for s in (S, I, N, B, NULL)},
    "type array": p({"type": "array"}),
    "type object": p({"type": "object"}),
    "type list": p({"type": ["string", "null"]}),
    "type list with bounds": p({"type": ["string", "integer"], "minimum": 3, "maxLength": 4}),
    "type list with properties": p({"type": ["object", "null"], "properties": {"a": I}, "required": ["a"]}),
    "integer and number": p({"type": ["integer", "number"], "maximum": 5}),
    "no type": p({"description": "anything"}),
    "true": p(True),
    "empty": p({}),
    "all types": {"type": ["string", "null", "integer", "boolean", "array", "object", "number"]},
    "untyped properties": {"properties": {"a": I}, "required": ["a"]},
    "untyped minimum": p({"minimum": 3}),
    "untyped two types": p({"minimum": 3, "minLength": 2}),
    "untyped items": p({"items": I, "maxItems": 2}),
    "annotations": p({"type": "integer", "default": 1, "title": "t", "examples": [1], "deprecated": True, "x-a": {}}),
}

VALUES = {
    "enum": p({"type": "string", "enum": ["a", "b c"]}),
    "enum mixed": p({"enum": ["a", 1, None, True, 1.5, {"k": [1]}, []]}),
    "enum unicode": p({"enum": ["é", "日本", "😀", "\u2028", "\x7f"]}),
    "enum quotes": p({"enum": ['a"b', "c\\d", "e/f", "g\nh", "<|x|>"]}),
    "enum of another type": p({"type": "integer", "enum": [1, "a", 2.0, True]}),
    "enum beside bounds": p({"enum": [1, 5, 9, "x"], "minimum": 3, "maximum": 8}),
    "enum beside anyOf": p({"enum": [1, 2, "x"], "anyOf": [{"minimum": 2}, {"type": "string"}]}),
    "enum beside not": p({"enum": ["a", "b"], "not": {"const": "b"}}),
    "enum beside $ref": {**p({"enum": [1, 2, 3], "$ref": "#/$defs/x"}), "$defs": {"x": {"minimum": 2}}},
    "enum of decimals": p({"enum": [0.1, 0.25, 1.0, 3.3, 1e-7, -0.0, 1e20]}),
    "enum of large numbers": p({"enum": [10**17, 2**63 - 1, 2**70, -(2**63)]}),
    "enum of objects": p({"enum": [{"b": 1, "a": {"d": None, "c": []}}, {"x": 0.1}]}),
    "enum and const": p({"enum": [1, 2], "const": 2}),
    "const": p({"const": "k"}),
    "const null": p({"const": None}),
    "const object": p({"const": {"b": 1, "a": 2}}),
    "enum long": p({"enum": [f"value-{i}" for i in range(300)]}),
    "enum null": p({"type": ["string", "null"], "enum": ["a", None]}),
    "enum of an object type": p({"type": "object", "enum": [{"a": 1}, 3], "required": ["a"]}),
}

NUMBERS = {
    "minimum": p({"type": "integer", "minimum": 5}),
    "maximum": p({"type": "integer", "maximum": 5}),
    "range": p({"type": "integer", "minimum": -3, "maximum": 120}),
    "range exclusive": p({"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 10}),
    "range between integers": p({"type": "integer", "minimum": 1.5, "maximum": 3.5}),
    "both minima": p({"type": "integer", "minimum": 3, "exclusiveMinimum": 3, "maximum": 9, "exclusiveMaximum": 8.5}),
    "range of one": p({"type": "integer", "minimum": 4, "maximum": 4}),
    "beyond 64 bits": p({"type": "integer", "minimum": -(10**20), "maximum": 10**20}),
    "minimum beyond 64 bits": p({"type": "integer", "minimum": 10**20}),
    "number range": p({"type": "number", "minimum": 0.5, "maximum": 1.5}),
    "number exclusive": p({"type": "number", "exclusiveMinimum": 0}),
    "number exclusive both": p({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}),
    "number both minima": p({"type": "number", "minimum": 5, "exclusiveMinimum": 5, "maximum": 7}),
    "number maximum 0": p({"type": "number", "maximum": -0.0}),
    "number point": p({"type": "number", "minimum": 0.3, "maximum": 0.3}),
    "number latitude": p({"type": "number", "minimum": -90, "maximum": 90}),
    "number seven decimals": p({"type": "number", "minimum": 0.1234567, "maximum": 12345.6789012}),
    "number large": p({"type": "number", "minimum": 2**53 + 1, "maximum": 1e300}),
    "multipleOf": p({"type": "integer", "multipleOf": 5}),
    "multipleOf 1": p({"type": "integer", "multipleOf": 1.0, "minimum": 2}),
    "multipleOf range": p({"type": "integer", "multipleOf": 7, "minimum": 1, "maximum": 20}),
    "multipleOf wide range": p({"type": "integer", "multipleOf": 100, "minimum": -5000, "maximum": 20000}),
    "multipleOf widest range": p({"type": "integer", "multipleOf": 2, "minimum": 0, "maximum": 100000}),
    "multipleOf half bounded": p({"type": "integer", "multipleOf": 5, "minimum": 0}),
    "multipleOf large": p({"type": "integer", "multipleOf": 1000003}),
    "multipleOf number": p({"type": "number", "multipleOf": 0.01}),
    "multipleOf number whole": p({"type": "number", "multipleOf": 2}),
    "integer format": p({"type": "integer", "format": "int32"}),
}

STRINGS = {
    "minLength": p({"type": "string", "minLength": 2}),
    "lengths": p({"type": "string", "minLength": 2, "maxLength": 3}),
    "length 0": p({"type": "string", "maxLength": 0}),
    "length as float": p({"type": "string", "minLength": 1.0, "maxLength": 2.0}),
    "maxLength large": p({"type": "string", "maxLength": 50000}),
    "pattern": p({"type": "string", "pattern": "^[a-z]+$"}),
    "pattern unanchored": p({"type": "string", "pattern": "[0-9]"}),
    "pattern prefix": p({"type": "string", "pattern": "^(http|ftp)://"}),
    "pattern suffix": p({"type": "string", "pattern": "\\.(png|jpe?g)$"}),
    "pattern alternatives": p({"type": "string", "pattern": "^ab|cd$|e"}),
    "pattern groups": p({"type": "string", "pattern": "(^$)|(^x{2,3}$)"}),
    "pattern classes": p({"type": "string", "pattern": "^\\d\\w\\s[\\w.-]$"}),
    "pattern negative classes": p({"type": "string", "pattern": "^\\D\\W\\S[^\\d\\s]$"}),
    "pattern negated": p({"type": "string", "pattern": "^[^,]+$"}),
    "pattern dot": p({"type": "string", "pattern": "^.+$"}),
    "pattern any": p({"type": "string", "pattern": "^[\\s\\S]*$"}),
    "pattern printable": p({"type": "string", "pattern": "^[ -~]{1,8}$"}),
    "pattern quote": p({"type": "string", "pattern": '^"a"$'}),
    "pattern backslash": p({"type": "string", "pattern": "^a\\\\b$"}),
    "pattern newline": p({"type": "string", "pattern": "^a\\nb$"}),
    "pattern quote in class": p({"type": "string", "pattern": "^[\"'a\\\\]+$"}),
    "pattern escapes": p({"type": "string", "pattern": "^\\/a\\-b\\.c\\$\\^[\\]^-]$"}),
    "pattern code point": p({"type": "string", "pattern": "^\\u00e9\\x41[à-ü]$"}),
    "pattern lazy": p({"type": "string", "pattern": "^a+?b*?$"}),
    "pattern named group": p({"type": "string", "pattern": "^(?P<n>a)b$"}),
    "pattern lookahead": p({"type": "string", "pattern": "^(?=a)ab$"}),
    "pattern backreference": p({"type": "string", "pattern": "^(a|b)\\1$"}),
    "pattern boundary": p({"type": "string", "pattern": "\\bab\\b"}),
    "pattern flags": p({"type": "string", "pattern": "(?i)^ab$"}),
    "pattern inner anchor": p({"type": "string", "pattern": "a(^b|c$)d"}),
    "pattern empty": p({"type": "string", "pattern": ""}),
    "pattern long repeat": p({"type": "string", "pattern": "^[a-z]{1,1000}$"}),
    "pattern nested repeat": p({"type": "string", "pattern": "^((a{1,2}){1,2}b)+$"}),
    "pattern with lengths that it holds": p(
        {"type": "string", "pattern": "^[a-z]{2,4}$", "minLength": 1, "maxLength": 4}
    ),
    "pattern with lengths": p({"type": "string", "pattern": "^[a-z]+$", "maxLength": 2}),
    "pattern less-than": p({"type": "string", "pattern": "^<[^>]+>$"}),
    "pattern choice that ends early": p({"type": "string", "pattern": "^(a|[ab](c|)|[bc]{1,3})$"}),
    "pattern optional end": p({"type": "string", "pattern": "^9(-[a-z]+)?$"}),
    "pattern address": p({"type": "string", "pattern": "^((25[0-5]|2[0-4]\\d|1?\\d?\\d)(\\.(?!$)|$)){4}$"}),
    "pattern number": p({"type": "string", "pattern": "^(25[0-5]|2[0-4]\\d|1?\\d?\\d)$"}),
    "pattern semver": p({"type": "string", "pattern": "^\\d+\\.\\d+\\.\\d+(-[0-9A-Za-z.-]+)?$"}),
    "pattern uuid": p({"type": "string", "pattern": "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"}),
    "pattern colour": p({"type": "string", "pattern": "^#(?:[0-9a-fA-F]{3}){1,2}$"}),
    "pattern words": p({"type": "string", "pattern": "^$|(^(?:\\S+\\s+){0,99}\\S+$)"}),
    "pattern optional whole": p({"type": "string", "pattern": "^((b+|[bc]a)c+a{0,3})?$"}),
    "pattern repeated ends": p({"type": "string", "pattern": "^([ab]|b|[ab]{1,2})$"}),
    "pattern between commas": p({"type": "string", "pattern": "(^|,)a(,|$)"}),
    "pattern of code": p({"type": "string", "pattern": "^[^;]*<[\\s\\S]{1,9}$"}),
    **{f"format {name}": p({"type": "string", "format": name}) for name in (*FORMATS, "regex", "color")},
    "format and length": p({"type": "string", "format": "uri", "minLength": 1, "maxLength": 20}),
    "format and minLength 1": p({"type": "string", "format": "email", "minLength": 1}),
    "format and pattern": p({"type": "string", "format": "date", "pattern": "^2"}),
}

ARRAYS = {
    "items": p(arr(I)),
    "items false": p(arr(False)),
    "items true": p(arr(True)),
    "items bounds": p(arr(I, minItems=1, maxItems=2)),
    "bounds without items": p({"type": "array", "minItems": 1, "maxItems": 2}),
    "maxItems 0": p(arr(I, maxItems=0)),
    "maxItems beyond": p(arr(I, maxItems=10**30)),
    "prefixItems": p({"type": "array", "prefixItems": [I, S]}),
    "prefixItems and items": p({"type": "array", "prefixItems": [I], "items": S, "minItems": 2}),
    "prefixItems closed": p({"type": "array", "prefixItems": [I, S], "items": False, "minItems": 2}),
    "prefixItems beyond maxItems": p({"type": "array", "prefixItems": [I, S, B], "maxItems": 2}),
    "prefixItems with false": p({"type": "array", "prefixItems": [I, False, S]}),
    "unevaluatedItems": p({"type": "array", "prefixItems": [I], "unevaluatedItems": False}),
    "unevaluatedItems in allOf": p({"allOf": [{"prefixItems": [I]}], "type": "array", "unevaluatedItems": S}),
    "contains": p({"type": "array", "contains": I}),
    "uniqueItems": p(arr(I, uniqueItems=True)),
    "uniqueItems false": p(arr(I, uniqueItems=False)),
    "uniqueItems of a string": p({"type": "string", "uniqueItems": True}),
    "array of objects": p(arr(obj({"a": S, "b": arr(N)}, ["a"]), maxItems=3)),
    "array of arrays": p(arr(arr(I, minItems=2, maxItems=2))),
    "array of enums": p(arr({"enum": ["x", "y"]}, minItems=1)),
}

OBJECTS = {
    "no properties": obj({}),
    "no properties, free": {"type": "object"},
    "no properties, closed": {"type": "object", "additionalProperties": False},
    "additional absent": obj({"a": I}, ["a"]),
    "additional true": obj({"a": I, "b": S}, ["a"], additionalProperties=True),
    "additional schema": obj({"a": I}, ["a"], additionalProperties=S),
    "additional false": obj({"a": I}, ["a"], additionalProperties=False),
    "additional to similar names": obj({"a": I, "ab": I, "abc": I, "": I}, additionalProperties=S),
    "additional to odd names": obj(dict.fromkeys(ODD, I), additionalProperties=S),
    "additional to a name with a quote": obj({'"': I}, ['"'], additionalProperties=S),
    "map": {"type": "object", "additionalProperties": I},
    "map of arrays": {"type": "object", "additionalProperties": arr(S)},
    "map with bounds": {"type": "object", "additionalProperties": I, "minProperties": 1, "maxProperties": 2},
    "map with minProperties 2": {"type": "object", "additionalProperties": I, "minProperties": 2},
    "free with minProperties": {"type": "object", "minProperties": 1},
    "free with maxProperties": {"type": "object", "maxProperties": 1},
    "required not in properties": obj({"a": I}, ["a", "z"]),
    "required not in properties, open": obj({"a": I}, ["a", "z"], additionalProperties=True),
    "required not in properties, schema": obj({"a": I}, ["a", "z"], additionalProperties=S),
    "required alone": {"type": "object", "required": ["a"]},
    "optional": obj({"a": I, "b": S, "c": B}),
    "optional before required": obj({"a": I, "b": I}, ["b"]),
    "two orders": obj({"a": obj({"x": I, "y": S}), "b": obj({"y": S, "x": I}), "c": arr(obj({"y": S, "x": I}))}),
    "odd names": obj(dict.fromkeys(ODD, I), ["", 'a"b', "é"]),
    "minProperties": obj({"a": I, "b": I}, minProperties=1),
    "minProperties held": obj({"a": I, "b": I}, ["a"], minProperties=1),
    "maxProperties": obj({"a": I, "b": I, "c": I}, ["a"], maxProperties=2),
    "minProperties open": obj({"a": I, "b": I}, ["a"], minProperties=2, additionalProperties=S),
    "minProperties of many": obj({f"p{i}": I for i in range(30)}, minProperties=2),
    "property false": obj({"a": I, "b": False}, ["a"]),
    "property false, open": obj({"a": I, "b": False}, ["a"], additionalProperties=True),
    "patternProperties": {"type": "object", "patternProperties": {"^x_": I}},
    "patternProperties closed": {"type": "object", "patternProperties": {"^x_": I}, "additionalProperties": False},
    "patternProperties open": {"type": "object", "patternProperties": {"^x_": I}, "additionalProperties": S},
    "patternProperties unanchored": {"type": "object", "patternProperties": {"x": I}, "additionalProperties": False},
    "patternProperties apart": {"type": "object", "patternProperties": {"^x_": I, "^y_": S}},
    "patternProperties overlapping": {"type": "object", "patternProperties": {"^x": I, "y$": S}},
    "patternProperties equal": {"type": "object", "patternProperties": {"^x": I, "y$": I}},
    "patternProperties and properties": obj({"a": S}, ["a"], patternProperties={"^x_": I}, additionalProperties=False),
    "patternProperties of a property": obj({"xa": {"minimum": 1}}, ["xa"], patternProperties={"^x": I}),
    "patternProperties of a property, same": obj({"xa": I}, ["xa"], patternProperties={"^x": I}),
    "patternProperties required": {"type": "object", "patternProperties": {"^x": I}, "required": ["xa", "b"]},
    "patternProperties lookahead": {
        "type": "object",
        "patternProperties": {"^(?!x)": I},
        "additionalProperties": False,
    },
    "patternProperties and minProperties": {"type": "object", "patternProperties": {"^x": I}, "minProperties": 1},
    "propertyNames pattern": {"type": "object", "propertyNames": {"pattern": "^[a-z]+$"}, "additionalProperties": I},
    "propertyNames enum": {"type": "object", "propertyNames": {"enum": ["a", "b"]}, "additionalProperties": I},
    "propertyNames $ref": {"type": "object", "propertyNames": {"$ref": "#/$defs/n"}, "$defs": {"n": {"enum": ["a"]}}},
    "propertyNames and properties": obj({"a": I, "bb": I}, propertyNames={"maxLength": 1}, additionalProperties=True),
    "propertyNames of closed": obj({"a": I, "bb": I}, propertyNames={"maxLength": 1}),
    "propertyNames string": {"type": "object", "propertyNames": {"type": "string"}},
    "propertyNames false": {"type": "object", "propertyNames": False},
    "dependentRequired": obj({"a": I, "b": I}, dependentRequired={"a": ["b"]}),
    "dependentSchemas": obj({"a": I, "b": I}, dependentSchemas={"a": {"required": ["b"]}}),
    "unevaluatedProperties false": obj({"a": I}, ["a"], unevaluatedProperties=False),
    "unevaluatedProperties schema": obj({"a": I}, ["a"], unevaluatedProperties=S),
    "unevaluatedProperties in allOf": obj({"a": I}, allOf=[obj({"b": S})], unevaluatedProperties=False),
    "unevaluatedProperties of a part": obj({"a": I}, allOf=[{"properties": {"b": S}, "unevaluatedProperties": False}]),
    "unevaluatedProperties and anyOf": obj(
        {"a": I}, anyOf=[obj({"b": S}, ["b"]), obj({"c": S})], unevaluatedProperties=False
    ),
    "unevaluatedProperties of a choice": {
        "allOf": [{"anyOf": [obj({"b": S}), obj({"c": S})], "unevaluatedProperties": False}, obj({"a": I})]
    },
}

CHOICES = {
    "anyOf": p({"anyOf": [S, I]}),
    "anyOf null": p({"anyOf": [S, NULL], "default": None, "title": "P"}),
    "anyOf nested": p({"anyOf": [{"anyOf": [S, NULL]}, {"anyOf": [I, arr(I)]}]}),
    "anyOf beside type": p({"anyOf": [{"minimum": 3}, {"maximum": -3}], "type": "integer"}),
    "anyOf required": {**obj({"a": I, "b": S}), "anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
    "anyOf with an impossible branch": p({"anyOf": [I, False, {"enum": [], "type": "string"}]}),
    "anyOf true": p({"anyOf": [I, True]}),
    "anyOf objects": p({"anyOf": [obj({"a": I}, ["a"]), obj({"a": S, "b": I}, ["b"])]}),
    "anyOf of two": p({"anyOf": [{"minimum": 0}, {"minLength": 1}], "oneOf": [I, S]}),
    "oneOf types": p({"oneOf": [S, I, NULL]}),
    "oneOf integer and number": p({"oneOf": [I, N]}),
    "oneOf enums": p({"oneOf": [{"enum": ["a", 1]}, {"enum": ["b", 2.0]}]}),
    "oneOf enums overlapping": p({"oneOf": [{"const": 1}, {"enum": [1.0, 2]}]}),
    "oneOf const titles": p({"oneOf": [{"const": "a", "title": "A"}, {"const": "b", "title": "B"}]}),
    "oneOf overlapping": p({"oneOf": [{"type": "integer", "minimum": 0}, {"type": "integer", "maximum": 10}]}),
    "oneOf discriminated": p({"oneOf": [CAT, DOG]}),
    "oneOf discriminated by $ref": {
        **p(
            {
                "oneOf": [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}],
                "discriminator": {"propertyName": "kind", "mapping": {"cat": "#/$defs/Cat"}},
            }
        ),
        "$defs": {"Cat": CAT, "Dog": DOG},
    },
    "oneOf discriminated beside properties": {
        "type": "object",
        "properties": {"id": I},
        "required": ["kind", "id"],
        "oneOf": [{"properties": {"kind": {"const": "a"}, "x": I}}, {"properties": {"kind": {"const": "b"}, "y": S}}],
    },
    "oneOf by required keys": p({"oneOf": [obj({"a": I}, ["a"]), obj({"b": I}, ["b"])]}),
    "oneOf by required keys, open": p(
        {"oneOf": [obj({"a": I}, ["a"], additionalProperties=True), obj({"b": I}, ["b"])]}
    ),
    "oneOf required": {**obj({"a": I, "b": S}), "oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
    "oneOf and anyOf": p({"anyOf": [I, S], "oneOf": [{"enum": [1, "a"]}, {"enum": [2, "b"]}]}),
    "allOf one": p({"allOf": [I], "description": "d"}),
    "allOf two": p({"allOf": [{"type": "integer"}, {"minimum": 3}]}),
    "allOf objects": {**obj({"a": I}, ["a"]), "allOf": [obj({"b": S}, ["b"]), {"properties": {"a": {"maximum": 5}}}]},
    "allOf closed parts": {"allOf": [obj({"a": I}, additionalProperties=False), obj({"a": {"minimum": 2}, "b": S})]},
    "allOf additional schema": {"allOf": [obj({"a": I}, additionalProperties=S), obj({"b": {"minLength": 1}, "c": S})]},
    "allOf closed against a pattern": {
        "allOf": [obj({"a": I}, additionalProperties=False), {"patternProperties": {"^x": I}}]
    },
    "allOf patterns": {
        "allOf": [{"type": "object", "patternProperties": {"^x": I}}, {"patternProperties": {"^x": {"minimum": 1}}}]
    },
    "allOf anyOf twice": p({"allOf": [{"anyOf": [I, S]}, {"anyOf": [{"enum": [1, "a", None]}, {"minimum": 5}]}]}),
    "allOf oneOf twice": p({"allOf": [{"oneOf": [I, S]}, {"oneOf": [I, NULL]}]}),
    "allOf enums": p({"allOf": [{"enum": [1, True, "a", 2.0]}, {"enum": [1.0, "a", 2]}]}),
    "allOf prefixItems": p(
        {"allOf": [arr(I), {"prefixItems": [{"minimum": 3}, True]}, {"prefixItems": [{"maximum": 9}]}]}
    ),
    "allOf lengths": p({"allOf": [{"type": "string", "minLength": 1}, {"minLength": 2, "maxLength": 4}]}),
    "allOf patterns of strings": p({"allOf": [{"pattern": "^a"}, {"pattern": "b$"}]}),
    "allOf multipleOf": p({"allOf": [{"type": "integer", "multipleOf": 4}, {"multipleOf": 6}]}),
    "allOf formats": p({"allOf": [{"type": "string", "format": "date"}, {"format": "color"}]}),
    "allOf unique": p({"allOf": [arr(I, uniqueItems=False), {"uniqueItems": True}]}),
    "allOf types": p({"allOf": [{"type": ["integer", "string"]}, {"type": ["number", "null"]}]}),
    "allOf true": p({"allOf": [True, I, {}]}),
    "not": p({"type": "string", "not": {"const": "bad"}}),
    "if": {**obj({"k": S, "v": {}}, ["k"]), "if": {"properties": {"k": {"const": "a"}}}, "then": {"required": ["v"]}},
    "if without then": {**obj({"k": S}), "if": {"required": ["k"]}},
}

REFERENCES = {
    "$ref to the root by its $id": {"$id": "https://example.com/t", **obj({"v": I, "n": {"$ref": "t"}}, ["v"])},
    "$ref to an $anchor": {**p({"$ref": "#x"}), "$defs": {"a": {"$anchor": "x", **I}}},
    "$ref within an $id": {
        **p({"$ref": "x.json"}),
        "$defs": {"a": {"$id": "x.json", **arr({"$ref": "#/$defs/b"}), "$defs": {"b": I}}, "b": S},
    },
    "$defs": {**p({"$ref": "#/$defs/x"}), "$defs": {"x": I}},
    "definitions": {**p({"$ref": "#/definitions/x"}), "definitions": {"x": I}},
    "$ref with siblings": {**p({"$ref": "#/$defs/x", "minimum": 5}), "$defs": {"x": I}},
    "$ref with a description": {**p({"$ref": "#/$defs/x", "description": "d"}), "$defs": {"x": I}},
    "$ref in allOf": {**p({"allOf": [{"$ref": "#/$defs/x"}], "default": {}}), "$defs": {"x": obj({"a": I})}},
    "$ref in allOf and more": {
        **p({"allOf": [{"$ref": "#/$defs/x"}, obj({"b": S}, ["b"])]}),
        "$defs": {"x": obj({"a": I})},
    },
    "$ref to a reference": {**p({"$ref": "#/$defs/x"}), "$defs": {"x": {"$ref": "#/$defs/y"}, "y": I}},
    "$ref to a property": obj({"a": I, "b": {"$ref": "#/properties/a"}}, ["b"]),
    "$ref to an item of a list": {**obj({"a": {"$ref": "#/anyOf/1/properties/a"}}), "anyOf": [True, obj({"a": I})]},
    "$ref to true": {**p({"$ref": "#/$defs/x"}), "$defs": {"x": True}},
    "$ref escaped": {**p({"$ref": "#/$defs/a~1b"}), "$defs": {"a/b": I}},
    "$ref with a tilde": {**p({"$ref": "#/$defs/a~0b"}), "$defs": {"a~b": I}},
    "$ref percent": {**p({"$ref": "#/$defs/a%20b"}), "$defs": {"a b": I}},
    "$ref beside the known places": {**p({"$ref": "#/components/schemas/X"}), "components": {"schemas": {"X": I}}},
    "$ref root": obj({"v": I, "n": {"$ref": "#"}}, ["v"]),
    "$ref tree": {**p({"$ref": "#/$defs/t"}), "$defs": {"t": TREE}},
    "$ref tree at the root": {"$ref": "#/$defs/t", "$defs": {"t": TREE}},
    "$ref tree with siblings": {**p({"$ref": "#/$defs/t", "required": ["c"]}), "$defs": {"t": TREE}},
    "$ref mutual": {
        **p({"$ref": "#/$defs/a"}),
        "$defs": {"a": obj({"b": {"$ref": "#/$defs/b"}}), "b": obj({"a": {"$ref": "#/$defs/a"}, "n": I})},
    },
    "$ref recursive in both parts": {
        **p({"allOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/b"}]}),
        "$defs": {
            "a": obj({"n": {"$ref": "#/$defs/a"}, "x": I}),
            "b": obj({"n": {"$ref": "#/$defs/b"}, "x": {"minimum": 1}}),
        },
    },
    "$ref linked list": {
        **p({"anyOf": [{"$ref": "#/$defs/l"}, NULL]}),
        "$defs": {"l": obj({"v": I, "next": {"anyOf": [{"$ref": "#/$defs/l"}, NULL], "default": None}}, ["v", "next"])},
    },
    "$ref never ending, optional": {
        **obj({"a": I, "n": {"$ref": "#/$defs/n"}}, ["a"]),
        "$defs": {"n": obj({"n": {"$ref": "#/$defs/n"}}, ["n"])},
    },
    "$ref never ending, items": {
        **p(arr({"$ref": "#/$defs/n"})),
        "$defs": {"n": obj({"n": {"$ref": "#/$defs/n"}}, ["n"])},
    },
    "$ref never ending, open": {
        **obj({"n": {"$ref": "#/$defs/n"}}, additionalProperties=True),
        "$defs": {"n": arr({"$ref": "#/$defs/n"}, minItems=1)},
    },
    "$ref JSON value": {
        **p({"$ref": "#/$defs/j"}),
        "$defs": {
            "j": {
                "anyOf": [
                    NULL,
                    B,
                    N,
                    S,
                    arr({"$ref": "#/$defs/j"}),
                    {"type": "object", "additionalProperties": {"$ref": "#/$defs/j"}},
                ]
            }
        },
    },
    "$ref with unevaluatedProperties": {
        **p({"$ref": "#/$defs/x", "unevaluatedProperties": False, "properties": {"b": S}}),
        "$defs": {"x": obj({"a": I})},
    },
    "$dynamicRef": {**p({"$dynamicRef": "#x"}), "$defs": {"a": {"$dynamicAnchor": "x", "type": "integer"}}},
}

DRAFT_7 = {"$schema": "http://json-schema.org/draft-07/schema#"}
DRAFTS = {
    "draft 7": {**DRAFT_7, **obj({"a": I}, ["a"]), "additionalProperties": False},
    "draft 7 items": {**DRAFT_7, **p({"type": "array", "items": [I, S]})},
    "draft 7 additionalItems": {**DRAFT_7, **p({"type": "array", "items": [I], "additionalItems": False})},
    "draft 7 additionalItems alone": {**DRAFT_7, **p(arr(I, additionalItems=False))},
    "draft 7 prefixItems": {**DRAFT_7, **p(arr(I, prefixItems=[S]))},
    "draft 7 $ref siblings": {**DRAFT_7, **p({"$ref": "#/definitions/x", "minimum": 5}), "definitions": {"x": I}},
    "draft 7 dependencies": {**DRAFT_7, **obj({"a": I, "b": I}), "dependencies": {"a": ["b"]}},
    "draft 7 id": {
        **DRAFT_7,
        "$id": "https://example.com/x.json",
        **p({"$ref": "#/definitions/x"}),
        "definitions": {"x": I},
    },
    "draft 4": {
        "$schema": "http://json-schema.org/draft-04/schema#",
        **p({"type": "integer", "minimum": 0, "exclusiveMinimum": True}),
    },
    "draft 4 const": {
        "$schema": "http://json-schema.org/draft-04/schema#",
        **p({"const": 3, "maximum": 9, "exclusiveMaximum": False}),
    },
    "draft 2019": {
        "$schema": "https://json-schema.org/draft/2019-09/schema",
        **p({"type": "array", "items": [I, S], "unevaluatedItems": False}),
    },
    "draft 4 enum": {
        "$schema": "http://json-schema.org/draft-04/schema#",
        **p({"enum": [0, 1, 2], "minimum": 0, "exclusiveMinimum": True}),
    },
    "draft 7 enum": {**DRAFT_7, **p({"enum": [[], [1], ["a"]], "items": [S]})},
    "draft unknown": {"$schema": "https://example.com/mine", **p(I)},
}

TOOLS = {
    "weather": obj(
        {
            "location": {"type": "string", "description": "City, e.g. Paris"},
            "unit": {"type": "string", "enum": ["celsius", "fahrenheit"], "default": "celsius"},
        },
        ["location"],
    ),
    "search": obj(
        {
            "query": {"type": "string", "minLength": 1},
            "limit": {"type": "integer", "minimum": 1, "maximum": 100, "default": 10},
            "filters": {
                "type": "array",
                "items": obj(
                    {"field": S, "op": {"enum": ["=", "<", ">"]}, "value": {"type": ["string", "number", "boolean"]}},
                    ["field", "op", "value"],
                ),
            },
        },
        ["query"],
    ),
    "edit": obj(
        {"path": S, "edits": arr(obj({"old_text": S, "new_text": S, "all": B}, ["old_text", "new_text"]), minItems=1)},
        ["path", "edits"],
        additionalProperties=False,
        **DRAFT_7,
    ),
    "calendar": obj(
        {
            "title": S,
            "start": {"type": "string", "format": "date-time"},
            "attendees": arr({"type": "string", "format": "email"}),
            "reminder": {"anyOf": [{"type": "integer", "minimum": 0}, NULL], "default": None, "title": "Reminder"},
        },
        ["title", "start"],
    ),
    "shell": obj(
        {
            "command": {"anyOf": [S, arr(S)]},
            "timeout": {"type": "number", "exclusiveMinimum": 0, "maximum": 600},
            "env": {"type": "object", "additionalProperties": S},
        },
        ["command"],
    ),
    "pydantic": {
        "$defs": {
            "Address": {
                "properties": {
                    "street": {"title": "Street", "type": "string"},
                    "zip": {
                        "anyOf": [{"pattern": "^[0-9]{5}$", "type": "string"}, {"type": "null"}],
                        "default": None,
                        "title": "Zip",
                    },
                },
                "required": ["street"],
                "title": "Address",
                "type": "object",
            },
            "Colour": {"enum": ["red", "green"], "title": "Colour", "type": "string"},
        },
        "properties": {
            "name": {"maxLength": 50, "minLength": 1, "title": "Name", "type": "string"},
            "colour": {"$ref": "#/$defs/Colour", "default": "red"},
            "homes": {"items": {"$ref": "#/$defs/Address"}, "title": "Homes", "type": "array"},
            "tags": {"anyOf": [{"items": S, "type": "array"}, NULL], "default": None},
            "point": {"maxItems": 2, "minItems": 2, "prefixItems": [N, N], "type": "array"},
        },
        "required": ["name", "homes"],
        "title": "Person",
        "type": "object",
    },
    "nested": obj({"a": obj({"b": obj({"c": obj({"d": arr(obj({"e": I}, ["e"]))}, ["d"])}, ["c"])}, ["b"])}, ["a"]),
    "openapi": obj(
        {
            "id": {"type": "integer", "format": "int64", "nullable": True},
            "pet": {"allOf": [{"$ref": "#/definitions/Pet"}], "description": "d", "nullable": True},
        },
        ["pet"],
        definitions={"Pet": obj({"name": S, "tag": {"type": "string", "xml": {}}}, ["name"])},
    ),
    "zod": {
        **obj(
            {
                "kind": {"type": "string", "const": "x"},
                "n": {"type": "number", "multipleOf": 1},
                "r": {"type": "object", "propertyNames": {"enum": ["a", "b"]}, "additionalProperties": S},
            },
            ["kind", "n", "r"],
        ),
        "additionalProperties": False,
        "$schema": "https://json-schema.org/draft/2020-12/schema",
    },
    "chart": obj(
        {
            "series": arr(
                obj(
                    {
                        "label": S,
                        "points": arr({"type": "array", "prefixItems": [N, N], "items": False, "minItems": 2}),
                    },
                    ["points"],
                )
            ),
            "log": {"type": "boolean"},
        },
        ["series"],
    ),
    "expression": {
        **p({"$ref": "#/$defs/e"}),
        "$defs": {
            "e": {
                "oneOf": [
                    obj({"op": {"enum": ["and", "or"]}, "of": arr({"$ref": "#/$defs/e"}, minItems=1)}, ["op", "of"]),
                    obj({"op": {"const": "is"}, "key": S}, ["op", "key"]),
                ]
            }
        },
    },
    "no arguments": {"type": "object", "properties": {}, "additionalProperties": False},
    "many": obj({f"option_{i}": {"type": ["string", "null"]} for i in range(120)}, ["option_3"]),
}

SCHEMAS = {
    f"{group}: {name}": schema
    for group, schemas in {
        "types": TYPES,
        "values": VALUES,
        "numbers": NUMBERS,
        "strings": STRINGS,
        "arrays": ARRAYS,
        "objects": OBJECTS,
        "choices": CHOICES,
        "references": REFERENCES,
        "drafts": DRAFTS,
        "tools": TOOLS,
    }.items()
    for name, schema in schemas.items()
}

WALLE = {
    f"{file.stem} {line}": json.loads(text)
    for file in sorted((SHARED / "walle").glob("*.jsonl"))
    for line, text in enumerate(file.read_text().splitlines(), 1)
}
"""Moonshot's own cases, where they lie beside this checkout."""

CATALOGUE = SCHEMAS | WALLE

ALIKE = "(?:é){0}"
"""Matches nothing: behind a pattern it keeps xgrammar 0.2.8 from the automaton that mixes up ends."""


def exact(schema, orders=None):
    """A translated schema such that xgrammar 0.2.8 follows it as a ``json_schema``.

    Objects that differ in the order of their properties alone it takes for one: a keyword tells them apart.
    """
    orders = {} if orders is None else orders
    if isinstance(schema, list):
        return [exact(part, orders) for part in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: value if key == "enum" else exact(value, orders) for key, value in schema.items()}
    for key in ("properties", "$defs"):
        if key in made:
            made[key] = {name: exact(part, orders) for name, part in schema[key].items()}
    if "pattern" in made:
        made["pattern"] += ALIKE
    if "patternProperties" in made:
        parts = schema["patternProperties"].items()
        made["patternProperties"] = {text + ALIKE: exact(part, orders) for text, part in parts}
    if "properties" in made:
        seen = orders.setdefault(frozenset(made["properties"]), {})
        made["x-order"] = seen.setdefault(tuple(made["properties"]), len(seen))
    return made
