# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""As much of JSON Schema as a snapshot's schema uses. An unknown keyword is an error, so that nothing goes unchecked."""
import re

NOTES = {"$schema", "$id", "title", "description", "default", "examples", "$comment", "$defs", "definitions", "format"}


def _is(value, name):
    if name == "null":
        return value is None
    if name == "boolean":
        return isinstance(value, bool)
    if name == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    if name == "number":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, {"string": str, "array": list, "object": dict}[name])


def errors(value, schema, root=None, path="$"):
    """A list of sentences; empty when VALUE fits."""
    root = schema if root is None else root
    if schema is True:
        return []
    if schema is False:
        return [path + ": not allowed"]
    wrong = []
    for key, held in schema.items():
        if key in NOTES:
            continue
        if key == "$ref":
            assert held.startswith("#/"), held
            target = root
            for part in held[2:].split("/"):
                target = target[part]
            wrong += errors(value, target, root, path)
        elif key == "type":
            if not any(_is(value, name) for name in ([held] if isinstance(held, str) else held)):
                wrong.append("%s: %r is no %s" % (path, value, held))
        elif key == "const":
            if value != held:
                wrong.append("%s: %r is not %r" % (path, value, held))
        elif key == "enum":
            if value not in held:
                wrong.append("%s: %r is none of %s" % (path, value, held))
        elif key == "required":
            if isinstance(value, dict):
                wrong += ["%s: no %s" % (path, name) for name in held if name not in value]
        elif key == "properties":
            if isinstance(value, dict):
                for name, part in held.items():
                    if name in value:
                        wrong += errors(value[name], part, root, "%s.%s" % (path, name))
        elif key == "additionalProperties":
            if isinstance(value, dict):
                for name in set(value) - set(schema.get("properties", ())):
                    wrong += errors(value[name], held, root, "%s.%s" % (path, name))
        elif key == "items":
            if isinstance(value, list):
                for number, part in enumerate(value):
                    wrong += errors(part, held, root, "%s[%d]" % (path, number))
        elif key in ("minItems", "maxItems"):
            if isinstance(value, list) and (len(value) < held if key == "minItems" else len(value) > held):
                wrong.append("%s: %d items" % (path, len(value)))
        elif key in ("minimum", "maximum", "exclusiveMinimum"):
            if _is(value, "number"):
                good = {"minimum": value >= held, "maximum": value <= held, "exclusiveMinimum": value > held}[key]
                if not good:
                    wrong.append("%s: %r against %s %r" % (path, value, key, held))
        elif key in ("minLength", "maxLength"):
            if isinstance(value, str) and (len(value) < held if key == "minLength" else len(value) > held):
                wrong.append("%s: length %d" % (path, len(value)))
        elif key == "pattern":
            if isinstance(value, str) and not re.search(held, value):
                wrong.append("%s: %r does not match %s" % (path, value, held))
        elif key in ("anyOf", "oneOf"):
            fitting = [part for part in held if not errors(value, part, root, path)]
            if not fitting or (key == "oneOf" and len(fitting) > 1):
                wrong.append("%s: %r fits %d of %s" % (path, value, len(fitting), key))
        elif key == "allOf":
            for part in held:
                wrong += errors(value, part, root, path)
        else:
            raise AssertionError("this checker does not know %r at %s" % (key, path))
    return wrong
