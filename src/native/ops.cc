// The ops as TensorFlow sees them. Loading the library registers them; what was refused stands in `plumbline_problems`.
#include "activations.h"
#include "adamw.h"
#include "attention-kernels.h"
#include "cross-entropy.h"
#include "linear-kernels.h"
#include "norms.h"

namespace {

struct NormKernel {
  float epsilon;
  bool hasBias;
  explicit NormKernel(const Attributes& node) : epsilon(node.number("epsilon")), hasBias(node.flag("has_bias")) {}
  void compute(Call& call) const {
    const Shape shape = call.shape(0);
    Call::expect(shape.size() == 2, "x: expected [rows, width]");
    const int64_t rows = shape[0], width = shape[1];
    const float* gain = call.floats(1, {width});
    const float* bias = hasBias ? call.floats(2, {width}) : nullptr;
    normalize({rows, width, epsilon, call.floats(0, shape), gain, bias, call.output(0, shape), call.output(1, {rows, 2})});
  }
};

struct NormGradientKernel {
  bool hasBias;
  explicit NormGradientKernel(const Attributes& node) : hasBias(node.flag("has_bias")) {}
  void compute(Call& call) const {
    const Shape shape = call.shape(0);
    Call::expect(shape.size() == 2, "dy: expected [rows, width]");
    const int64_t rows = shape[0], width = shape[1];
    const float *dy = call.floats(0, shape), *x = call.floats(1, shape), *gain = call.floats(2, {width});
    const float* stats = call.floats(3, {rows, 2});
    float *dx = call.output(0, shape), *dgain = call.output(1, {width});
    float* dbias = call.output(2, {hasBias ? width : 0});
    normGradient({rows, width, dy, x, gain, stats, dx, dgain, hasBias ? dbias : nullptr});
  }
};

struct ActivationKernel {
  Activation kind;
  explicit ActivationKernel(const Attributes& node) : kind(static_cast<Activation>(node.integer("kind"))) {}
  void compute(Call& call) const {
    const Shape shape = call.shape(0);
    Call::expect(shape.size() == 2 && (!isGated(kind) || shape[1] % 2 == 0), "x: expected [rows, width], even where gated");
    const int64_t rows = shape[0], width = isGated(kind) ? shape[1] / 2 : shape[1];
    activate(kind, rows, width, call.floats(0, shape), call.output(0, {rows, width}));
  }
};

struct ActivationGradientKernel {
  Activation kind;
  explicit ActivationGradientKernel(const Attributes& node) : kind(static_cast<Activation>(node.integer("kind"))) {}
  void compute(Call& call) const {
    const Shape shape = call.shape(0);
    Call::expect(shape.size() == 2, "dy: expected [rows, width]");
    const Shape wide{shape[0], isGated(kind) ? 2 * shape[1] : shape[1]};
    activationGradient(kind, shape[0], shape[1], call.floats(0, shape), call.floats(1, wide), call.output(0, wide));
  }
};

// Inputs 0 and 1 of both ops of cross-entropy.
struct Labelled {
  int64_t rows, vocab;
  const float* logits;
  const int32_t* labels;
  explicit Labelled(Call& call) {
    const Shape shape = call.shape(0);
    Call::expect(shape.size() == 2, "logits: expected [rows, vocab]");
    rows = shape[0], vocab = shape[1];
    logits = call.floats(0, shape), labels = call.ints(1, {rows});
    for (int64_t row = 0; row < rows; row++) Call::expect(labels[row] >= 0 && labels[row] < vocab, "labels: expected 0 to vocab - 1");
  }
};

struct CrossEntropyKernel {
  explicit CrossEntropyKernel(const Attributes&) {}
  void compute(Call& call) const {
    const Labelled of(call);
    crossEntropy(of.rows, of.vocab, of.logits, of.labels, call.output(0, {of.rows}), call.output(1, {of.rows, 2}));
  }
};

struct CrossEntropyGradientKernel {
  explicit CrossEntropyGradientKernel(const Attributes&) {}
  void compute(Call& call) const {
    const Labelled of(call);
    const float *stats = call.floats(2, {of.rows, 2}), *dlosses = call.floats(3, {of.rows});
    crossEntropyGradient(of.rows, of.vocab, of.logits, of.labels, stats, dlosses, call.output(0, {of.rows, of.vocab}));
  }
};

// Inputs: gradients, values, first and second moments of n parameters, one list after the other; then rates [n], decays [n],
// epsilon and the loss. Values and moments are those that ReadVariableOp gives, which is the variable's own memory: they change
// there, as ResourceApplyAdam would change them; src/execution/apply-adamw.ts says why nothing reads the old values any more.
struct AdamWKernel {
  float fresh1, fresh2, clipNorm;
  explicit AdamWKernel(const Attributes& node)
      : fresh1(node.number("fresh1")), fresh2(node.number("fresh2")), clipNorm(node.number("clip_norm")) {}
  void compute(Call& call) const {
    const int count = (call.inputs() - 4) / 4, rest = 4 * count;
    const float *rates = call.floats(rest, {count}), *decays = call.floats(rest + 1, {count});
    std::vector<Updated> parameters(count);
    for (int i = 0; i < count; i++) {
      const Shape shape = call.shape(i);
      const auto stored = [&](int list) { return const_cast<float*>(call.floats(list * count + i, shape)); };
      parameters[i] = {elements(shape), call.floats(i, shape), stored(1), stored(2), stored(3), rates[i], decays[i]};
    }
    const AdamW adam{fresh1, fresh2, *call.floats(rest + 2, {}), clipNorm};
    *call.output(0, {}) = applyAdamW(adam, parameters, *call.floats(rest + 3, {}));
  }
};

std::string registerAll() {
  std::string problems;
  const auto add = [&](const std::string& problem) { problems += problem.empty() ? "" : problem + "\n"; };
  add(registerOp<NormKernel>({"PlumblineNorm",
                              {"x: float", "gain: float", "bias: float"},
                              {"y: float", "stats: float"},
                              {"epsilon: float", "has_bias: bool"}}));
  add(registerOp<NormGradientKernel>({"PlumblineNormGradient",
                                      {"dy: float", "x: float", "gain: float", "stats: float"},
                                      {"dx: float", "dgain: float", "dbias: float"},
                                      {"has_bias: bool"}}));
  add(registerOp<ActivationKernel>({"PlumblineActivation", {"x: float"}, {"y: float"}, {"kind: int"}}));
  add(registerOp<ActivationGradientKernel>({"PlumblineActivationGradient", {"dy: float", "x: float"}, {"dx: float"}, {"kind: int"}}));
  add(registerOp<AttentionKernel>({"PlumblineAttention",
                                   {"query: float", "key: float", "value: float", "bias: float"},
                                   {"y: float", "stats: float"},
                                   {"scale: float", "cap: float"}}));
  add(registerOp<AttentionGradientKernel>(
      {"PlumblineAttentionGradient",
       {"dy: float", "y: float", "stats: float", "query: float", "key: float", "value: float", "bias: float"},
       {"dquery: float", "dkey: float", "dvalue: float"},
       {"scale: float", "cap: float"}}));
  add(registerOp<SelfAttentionKernel>(
      {"PlumblineSelfAttention",
       {"qkv: float", "bias: float", "cos: float", "sin: float"},
       {"y: float", "stats: float"},
       {"scale: float", "cap: float", "heads: int", "kv_heads: int", "has_rotation: bool"}}));
  add(registerOp<SelfAttentionGradientKernel>(
      {"PlumblineSelfAttentionGradient",
       {"dy: float", "y: float", "stats: float", "qkv: float", "bias: float", "cos: float", "sin: float"},
       {"dqkv: float"},
       {"scale: float", "cap: float", "heads: int", "kv_heads: int", "has_rotation: bool"}}));
  add(registerOp<LinearKernel>({"PlumblineLinear",
                                {"x: float", "weight: float", "bias: float", "residual: float", "a: float", "b: float"},
                                {"y: float", "slopes: float", "low: float"},
                                {"transposed: bool", "frozen: bool", "has_bias: bool", "activation: int", "has_residual: bool",
                                 "columns: list(int)", "scale: float"}}));
  add(registerOp<LinearGradientKernel>(
      {"PlumblineLinearGradient",
       {"dy: float", "x: float", "weight: float", "slopes: float", "low: float", "a: float", "b: float"},
       {"dx: float", "dweight: float", "dbias: float", "da: float", "db: float"},
       {"transposed: bool", "frozen: bool", "has_bias: bool", "activation: int", "columns: list(int)", "scale: float"}}));
  add(registerOp<CrossEntropyKernel>(
      {"PlumblineCrossEntropy", {"logits: float", "labels: int32"}, {"losses: float", "stats: float"}, {}}));
  add(registerOp<CrossEntropyGradientKernel>({"PlumblineCrossEntropyGradient",
                                              {"logits: float", "labels: int32", "stats: float", "dlosses: float"},
                                              {"dlogits: float"},
                                              {}}));
  add(registerOp<AdamWKernel>({"PlumblineAdamW",
                               {"gradients: N * float", "values: N * float", "first: N * float", "second: N * float",
                                "rates: float", "decays: float", "epsilon: float", "loss: float"},
                               {"norm: float"},
                               {"N: int >= 1", "fresh1: float", "fresh2: float", "clip_norm: float"},
                               true}));
  return problems;
}

const std::string problems = registerAll();

} // namespace

extern "C" const char* plumbline_problems() { return problems.c_str(); }
