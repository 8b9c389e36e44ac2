// Where the rows of heads lie in a tensor, and how positions turn them.
#pragma once
#include <cstdint>
#include <cstring>

// Rows of heads: those of one head lie `rowStep` floats apart.
template <class Float> struct HeadsOf {
  Float* at;
  int64_t batchStep, headStep, rowStep;
  Float* of(int64_t batch, int64_t head) const { return at + batch * batchStep + head * headStep; }
};
typedef HeadsOf<const float> Heads;

// [batch, heads, rows, width]
template <class Float> inline HeadsOf<Float> headsFirst(Float* at, int64_t heads, int64_t rows, int64_t width) {
  return {at, heads * rows * width, rows * width, width};
}
// Those from head `first` on of [batch, rows, heads, width]
template <class Float> inline HeadsOf<Float> rowsFirst(Float* at, int64_t first, int64_t heads, int64_t rows, int64_t width) {
  return {at + first * width, rows * heads * width, width, heads * width};
}

// Queries and keys are turned by their positions (arXiv:2104.09864, in Hugging Face's rotate-half form): the first `width` values
// of a row x become x · cos + (-second half, first half) · sin. cos, sin [batch or 1, rows, width]; null: nothing turns.
struct Rotation {
  const float *cos = nullptr, *sin = nullptr;
  int64_t width = 0, batchStep = 0;

  // to = x turned, `size` values; what is beyond the rotation's width passes.
  void turn(int64_t batch, int64_t row, const float* x, int64_t size, float* to) const {
    const int64_t half = width / 2, at = batch * batchStep + row * width;
    const float *c = cos + at, *s = sin + at;
    for (int64_t i = 0; i < half; i++) {
      const float first = x[i], second = x[i + half];
      to[i] = first * c[i] - second * s[i];
      to[i + half] = second * c[i + half] + first * s[i + half];
    }
    memcpy(to + width, x + width, (size - width) * sizeof(float));
  }
  // The gradient: the transpose, in place.
  void turnBack(int64_t batch, int64_t row, float* x) const {
    const int64_t half = width / 2, at = batch * batchStep + row * width;
    const float *c = cos + at, *s = sin + at;
    for (int64_t i = 0; i < half; i++) {
      const float first = x[i], second = x[i + half];
      x[i] = first * c[i] + second * s[i + half];
      x[i + half] = second * c[i + half] - first * s[i];
    }
  }
};
