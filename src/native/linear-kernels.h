// The kernels of linear layers, as ops.cc registers them.
#pragma once
#include "linear-layer.h"
#include "tensorflow.h"

// What both kernels of linear layers are made with.
struct LinearNode {
  bool isTransposed, isFrozen, hasBias;
  int64_t activation;
  std::vector<int64_t> columns; // of low-rank changes
  float scale;
  explicit LinearNode(const Attributes& node)
      : isTransposed(node.flag("transposed")), isFrozen(node.flag("frozen")), hasBias(node.flag("has_bias")),
        activation(node.integer("activation")), columns(node.integers("columns")), scale(node.number("scale")) {}

  // Of x and weight, inputs `first` and the next one.
  LinearLayer layer(Call& call, int first) const {
    const Shape x = call.shape(first), weight = call.shape(first + 1);
    Call::expect(x.size() == 2 && weight.size() == 2, "x: expected [rows, in], weight: a matrix");
    Call::expect(!(isTransposed && hasBias), "bias: expected none of a transposed weight");
    const int64_t in = x[1], out = weight[isTransposed ? 0 : 1];
    const Shape expected = isTransposed ? Shape{out, in} : Shape{in, out};
    LinearLayer layer{x[0], in, out, activation, call.floats(first, x), call.floats(first + 1, expected), isTransposed, isFrozen};
    Call::expect(!layer.hasActivation() || !isGated(layer.kind()) || out % 2 == 0, "weight: expected an even width where gated");
    return layer;
  }
  // Of a and b, inputs `first` and the next one.
  LowRank change(Call& call, int first, const LinearLayer& of) const {
    if (columns.empty()) return {0, {}, 0, nullptr, nullptr};
    LowRank change{call.shape(first + 1).at(0), columns, scale, nullptr, nullptr};
    int64_t end = 0;
    Call::expect(columns.size() % 2 == 0, "columns: expected pairs");
    for (int64_t i = 0; i < change.changes(); i++) {
      Call::expect(change.from(i) >= end && change.size(i) > 0, "columns: expected an order without overlap");
      end = change.from(i) + change.size(i);
    }
    Call::expect(isFrozen && !isTransposed && end <= of.out, "columns: expected those of a frozen weight");
    change.a = call.floats(first, {of.in, change.width()});
    change.b = call.floats(first + 1, {change.rank, change.changed()});
    return change;
  }
};

struct LinearKernel : LinearNode {
  bool hasResidual;
  explicit LinearKernel(const Attributes& node) : LinearNode(node), hasResidual(node.flag("has_residual")) {}
  void compute(Call& call) const {
    LinearLayer of = layer(call, 0);
    const Shape shape{of.rows, of.width()};
    const float* bias = hasBias ? call.floats(2, {of.out}) : nullptr;
    const float* residual = hasResidual ? call.floats(3, shape) : nullptr;
    const LowRank changes = change(call, 4, of);
    if (!columns.empty()) of.change = &changes;
    float *y = call.output(0, shape), *slopes = call.output(1, {of.hasActivation() ? of.rows : 0, of.out});
    linearLayer(of, bias, residual, y, slopes, call.output(2, {of.rows, changes.width()}));
  }
};

struct LinearGradientKernel : LinearNode {
  using LinearNode::LinearNode;
  void compute(Call& call) const {
    LinearLayer of = layer(call, 1);
    const float* dy = call.floats(0, {of.rows, of.width()});
    const float* slopes = call.floats(3, {of.hasActivation() ? of.rows : 0, of.out});
    const LowRank changes = change(call, 5, of);
    if (!columns.empty()) of.change = &changes;
    const float* low = call.floats(4, {of.rows, changes.width()});
    const bool learnsBias = hasBias && !isFrozen;
    float *dx = call.output(0, {of.rows, of.in}), *dweight = call.output(1, isFrozen ? Shape{0} : call.shape(2));
    float* dbias = call.output(2, {learnsBias ? of.out : 0});
    float *da = call.output(3, {of.in, changes.width()}), *db = call.output(4, {changes.rank, changes.changed()});
    linearLayerGradient(of, dy, slopes, low, {dx, dweight, learnsBias ? dbias : nullptr, da, db});
  }
};
