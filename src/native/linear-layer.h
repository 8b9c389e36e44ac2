// A linear layer that is trained, with what follows it, and its gradient:
//   y = activation(x · W + bias) + residual
#pragma once
#include "activations.h"
#include "low-rank.h"

constexpr int64_t NO_ACTIVATION = -1;

// x [rows, in]; weight [in, out], or [out, in] where transposed. Where gated, out is twice the width of y.
struct LinearLayer {
  int64_t rows, in, out;
  int64_t activation;
  const float* x;
  const float* weight;
  bool isTransposed;
  bool isFrozen = false;            // its gradient is not asked for
  const LowRank* change = nullptr; // of a frozen weight

  bool hasActivation() const { return activation != NO_ACTIVATION; }
  Activation kind() const { return static_cast<Activation>(activation); }
  int64_t width() const { return hasActivation() && isGated(kind()) ? out / 2 : out; }
  // W as [in, out]
  Matrix matrix() const { return isTransposed ? rowMajor(weight, in).transposed() : rowMajor(weight, out); }
};

// @param bias, residual null: none
// @param slopes [rows, out]: what dy is multiplied with on its way back, with an activation; unused without one
// @param low [rows, width of the change], for the gradient
inline void linearLayer(const LinearLayer& layer, const float* bias, const float* residual, float* y, float* slopes, float* low) {
  const int64_t width = layer.width(), out = layer.out;
  float* product = layer.hasActivation() ? slopes : y;
  const bool gated = width != out;
  Gemm map{layer.rows, out, layer.in, rowMajor(layer.x, layer.in), layer.matrix(), product, out};
  Added added;
  if (layer.change != nullptr) {
    added = addLowRank(*layer.change, layer.rows, layer.in, out, layer.x, low);
    map.added = &added;
  }
  gemm(map, gated, [&](const Block& block) {
    const int64_t from = block.column, columns = (gated ? width : block.lastColumn) - from;
    for (int64_t row = block.row; row < block.lastRow; row++) {
      float* line = product + row * out;
      if (bias != nullptr) {
        overRow(block.lastColumn - from, [&](int64_t at, int count) {
          storeUpTo(line + from + at, loadUpTo(line + from + at, count) + loadUpTo(bias + from + at, count), count);
        });
      }
      if (!layer.hasActivation() && residual == nullptr) continue;
      overRow(columns, [&](int64_t at, int count) {
        float *gate = line + from + at, *up = gate + width;
        Vector value = loadUpTo(gate, count);
        if (layer.hasActivation()) {
          const Curve curve = curveOf(layer.kind(), value);
          const Vector factor = gated ? loadUpTo(up, count) : broadcast(1);
          value = curve.value * factor;
          storeUpTo(gate, curve.slope * factor, count);
          if (gated) storeUpTo(up, curve.value, count);
        }
        if (residual != nullptr) value += loadUpTo(residual + row * width + from + at, count);
        storeUpTo(y + row * width + from + at, value, count);
      });
    }
  });
}

// to [rows, out] = slopes · dy [rows, width], in both halves where gated
inline void multiplySlopes(const LinearLayer& layer, const float* dy, const float* slopes, float* to) {
  const int64_t width = layer.width(), out = layer.out;
  overRows(layer.rows, out, [&](int64_t first, int64_t last) {
    for (int64_t row = first; row < last; row++) {
      for (int64_t half = row * out; half < (row + 1) * out; half += width) {
        overRow(width, [&](int64_t at, int count) {
          storeUpTo(to + half + at, loadUpTo(slopes + half + at, count) * loadUpTo(dy + row * width + at, count), count);
        });
      }
    }
  });
}

// What a gradient is written to; null: it is not asked for.
struct LinearSlopes {
  float *x, *weight, *bias; // [rows, in], as the weight, [out]
  float *a, *b;             // as those of the change
};

// From dy [rows, width], and what `linearLayer` left. The gradient of the residual is dy.
inline void linearLayerGradient(const LinearLayer& layer, const float* dy, const float* slopes, const float* low, const LinearSlopes& to) {
  const int64_t rows = layer.rows, in = layer.in, out = layer.out;
  if (layer.hasActivation()) {
    float* dproduct = scratch(PRODUCT_SLOPES, rows * out);
    multiplySlopes(layer, dy, slopes, dproduct);
    dy = dproduct;
  }
  const Matrix dproduct = rowMajor(dy, out), x = rowMajor(layer.x, in);
  Gemm back{rows, in, out, dproduct, layer.matrix().transposed(), to.x, in};
  Added added;
  if (layer.change != nullptr) {
    float* dlow = scratch(LOW_SLOPES, rows * layer.change->width());
    added = lowRankGradient(*layer.change, rows, in, out, dy, layer.x, low, dlow, to.a, to.b);
    back.added = &added;
  }
  gemm(back);
  if (layer.isFrozen) return;
  if (layer.isTransposed)
    gemm({out, in, rows, dproduct.transposed(), x, to.weight, in});
  else
    gemm({in, out, rows, x.transposed(), dproduct, to.weight, out, to.bias});
}
