// Activations of feed-forward layers and their gradients; only their input is kept for the gradient.
#pragma once
#include "threads.h"
#include "vectors.h"

// GELU in the tanh form (arXiv:1606.08415): x · sigmoid(x (LINEAR + CUBIC x²)); SwiGLU and GEGLU (arXiv:2002.05202, eq. 6),
// whose input [rows, 2 · width] holds the gate first, then what is gated.
enum Activation : int64_t { GELU = 0, SWIGLU = 1, GEGLU = 2 };

inline bool isGated(Activation kind) { return kind != GELU; }

constexpr float LINEAR = 1.5957691216057308f, CUBIC = 0.044715f * LINEAR; // LINEAR = 2 √(2 / π)

struct Curve {
  Vector value, slope;
};

inline Curve geluOf(Vector x) {
  const Vector square = x * x;
  const Shares share = sigmoid(x * (LINEAR + CUBIC * square));
  return {x * share.of, share.of + x * share.of * share.rest * (LINEAR + 3 * CUBIC * square)};
}
inline Curve siluOf(Vector x) {
  const Shares share = sigmoid(x);
  return {x * share.of, share.of + x * share.of * share.rest};
}
inline Curve curveOf(Activation kind, Vector x) { return kind == SWIGLU ? siluOf(x) : geluOf(x); }

// x [rows, width, or twice that where gated] → y [rows, width]
inline void activate(Activation kind, int64_t rows, int64_t width, const float* x, float* y) {
  const int64_t step = isGated(kind) ? 2 * width : width;
  overRows(rows, width, [&](int64_t first, int64_t last) {
    for (int64_t row = first; row < last; row++) {
      const float *gate = x + row * step, *up = gate + width;
      overRow(width, [&](int64_t at, int count) {
        Vector value = curveOf(kind, loadUpTo(gate + at, count)).value;
        if (isGated(kind)) value *= loadUpTo(up + at, count);
        storeUpTo(y + row * width + at, value, count);
      });
    }
  });
}

// dy [rows, width] → dx, as x
inline void activationGradient(Activation kind, int64_t rows, int64_t width, const float* dy, const float* x, float* dx) {
  const int64_t step = isGated(kind) ? 2 * width : width;
  overRows(rows, width, [&](int64_t first, int64_t last) {
    for (int64_t row = first; row < last; row++) {
      const float *gate = x + row * step, *up = gate + width, *slopes = dy + row * width;
      float *dgate = dx + row * step, *dup = dgate + width;
      overRow(width, [&](int64_t at, int count) {
        const Vector slope = loadUpTo(slopes + at, count);
        const Curve curve = curveOf(kind, loadUpTo(gate + at, count));
        if (!isGated(kind)) {
          storeUpTo(dgate + at, slope * curve.slope, count);
          return;
        }
        const Vector gated = loadUpTo(up + at, count);
        storeUpTo(dgate + at, slope * gated * curve.slope, count);
        storeUpTo(dup + at, slope * curve.value, count);
      });
    }
  });
}
