"""Plain pointers for compiled code: numba counts references to arrays, atomically, at every row and every call.

A pointer is indexed like an array and knows no length. What it points into has to be kept by whoever made it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias, get_args, get_type_hints

import numpy as np
from numba import types
from numba.extending import intrinsic
from numba.np.numpy_support import from_dtype
from numpy.typing import NDArray

Doubles: TypeAlias = Any  # pointers to float64, float32 and int64; Python never sees one
Singles: TypeAlias = Any
Ints: TypeAlias = Any


@intrinsic
def bare(typing: Any, value: Any) -> Any:
    """An array's first number's pointer; of a tuple the same tuple with pointers in place of arrays.

    Args:
        typing: Numba's.
        value: A contiguous array, or a tuple that holds such at any depth.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _stripped(context, builder, signature.args[0], args[0])

    return _bare_kind(value)(value), generate


def _bare_kind(kind: Any) -> Any:
    if isinstance(kind, types.Array):
        return types.CPointer(kind.dtype)
    if not isinstance(kind, types.BaseTuple):
        return kind
    kinds = [_bare_kind(each) for each in kind]
    if not isinstance(kind, types.BaseNamedTuple):
        return types.Tuple(kinds)
    if len(set(kinds)) == 1:
        return types.NamedUniTuple(kinds[0], len(kinds), kind.instance_class)
    return types.NamedTuple(kinds, kind.instance_class)


def _stripped(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    if isinstance(kind, types.Array):
        return context.make_array(kind)(context, builder, value).data
    if not isinstance(kind, types.BaseTuple):
        return value
    parts = [builder.extract_value(value, place) for place in range(len(kind))]
    values = [_stripped(context, builder, each, part) for each, part in zip(kind, parts, strict=True)]
    return context.make_tuple(builder, _bare_kind(kind), values)


@intrinsic
def ahead(typing: Any, pointer: Any, count: Any) -> Any:
    """The pointer to the number that is so many further on.

    Args:
        typing: Numba's.
        pointer: To any kind of number.
        count: How many.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.gep(args[0], [args[1]])

    return pointer(pointer, types.int64), generate


def _cast(dtype: Any) -> Any:
    @intrinsic
    def cast(typing: Any, pointer: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.bitcast(args[0], context.get_value_type(signature.return_type))

        return types.CPointer(dtype)(pointer), generate

    return cast


as_ints, as_singles = _cast(types.int64), _cast(types.float32)  # the same place, seen as numbers of another kind


def packed(value: Any) -> NDArray[np.int64]:
    """A named tuple of numbers, arrays and such tuples as words: arrays by their places, which have to be kept.

    A compiled function takes one array in a tenth of the time that it takes a tuple of many.
    """
    return np.array(list(_words(value)), np.int64)


def _words(value: Any) -> Iterator[int]:
    if isinstance(value, tuple):
        for each in value:
            yield from _words(each)
    elif isinstance(value, np.ndarray):
        yield value.ctypes.data
    else:
        yield int(np.float64(value).view(np.int64)) if isinstance(value, float) else int(value)


def unpacking(kind: type) -> Any:
    """What makes a tuple of the kind from its words, for compiled code: with pointers in place of arrays."""

    @intrinsic
    def unpack(typing: Any, words: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return _read(context, builder, signature.return_type, args[0], [0])

        return _kind_of(kind)(words), generate

    return unpack


def _kind_of(hint: Any) -> Any:
    """Numba's type for what a field is annotated with."""
    if hint in _PLAIN:
        return _PLAIN[hint]
    if not hasattr(hint, "_fields"):
        return types.CPointer(from_dtype(np.dtype(get_args(get_args(hint)[1])[0])))
    kinds = [_kind_of(each) for each in get_type_hints(hint).values()]
    if len(set(kinds)) == 1:
        return types.NamedUniTuple(kinds[0], len(kinds), hint)
    return types.NamedTuple(kinds, hint)


_PLAIN = {int: types.int64, bool: types.boolean, float: types.float64}


def _read(context: Any, builder: Any, kind: Any, words: Any, place: list[int]) -> Any:
    if isinstance(kind, types.BaseTuple):
        values = [_read(context, builder, each, words, place) for each in kind]
        return context.make_tuple(builder, kind, values)
    word = builder.load(builder.gep(words, [context.get_constant(types.int64, place[0])]))
    place[0] += 1
    if isinstance(kind, types.CPointer):
        return builder.inttoptr(word, context.get_value_type(kind))
    if kind == types.float64:
        return builder.bitcast(word, context.get_value_type(kind))
    return builder.trunc(word, context.get_value_type(kind)) if kind == types.boolean else word
