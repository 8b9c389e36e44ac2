// Attention's kernels, as ops.cc registers them.
#pragma once
#include "attention.h"
#include "tensorflow.h"

// The bias of attention, for all rows of a batch or for each.
inline void readBias(Call& call, int input, Attention& attention) {
  const int64_t seq = attention.seq, keys = attention.keys;
  attention.sharesBias = call.shape(input) == Shape{1, 1, seq, keys};
  attention.bias = call.floats(input, {attention.sharesBias ? 1 : attention.batch, 1, seq, keys});
}

// What both kernels of attention are made with, and the attention of query, key, value and bias, inputs from `first` on.
struct AttentionNode {
  float scale, cap;
  explicit AttentionNode(const Attributes& node) : scale(node.number("scale")), cap(node.number("cap")) {}
  Attention attention(Call& call, int first) const {
    const Shape query = call.shape(first), key = call.shape(first + 1);
    Call::expect(query.size() == 4 && key.size() == 4, "query and key: expected [batch, heads, seq, width]");
    Call::expect(key[1] > 0 && query[1] % key[1] == 0, "heads: expected a multiple of those of the keys");
    const int64_t batch = query[0], heads = query[1], seq = query[2], width = query[3], kvHeads = key[1], keys = key[2];
    const Shape shared{batch, kvHeads, keys, width};
    Attention of{batch, heads, kvHeads, seq, keys, width, scale, cap};
    of.query = headsFirst(call.floats(first, query), heads, seq, width);
    of.key = headsFirst(call.floats(first + 1, shared), kvHeads, keys, width);
    of.value = headsFirst(call.floats(first + 2, shared), kvHeads, keys, width);
    readBias(call, first + 3, of);
    return of;
  }
};

struct AttentionKernel : AttentionNode {
  using AttentionNode::AttentionNode;
  void compute(Call& call) const {
    const Attention of = attention(call, 0);
    float* output = call.output(0, call.shape(0));
    attend(of, headsFirst(output, of.heads, of.seq, of.width), call.output(1, {of.batch, of.heads, of.seq, 2}));
  }
};

struct AttentionGradientKernel : AttentionNode {
  using AttentionNode::AttentionNode;
  void compute(Call& call) const {
    const Attention of = attention(call, 3);
    const Shape query = call.shape(3), key = call.shape(4);
    const auto likeQuery = [&](auto* at) { return headsFirst(at, of.heads, of.seq, of.width); };
    const auto likeKey = [&](auto* at) { return headsFirst(at, of.kvHeads, of.keys, of.width); };
    const float *doutput = call.floats(0, query), *output = call.floats(1, query);
    const float* stats = call.floats(2, {of.batch, of.heads, of.seq, 2});
    attentionGradient({of, likeQuery(output), likeQuery(doutput), stats, likeQuery(call.output(0, query)),
                       likeKey(call.output(1, key)), likeKey(call.output(2, key))});
  }
};

// Attention of tokens to each other, which reads what a linear layer gives: qkv [batch · seq, (heads + 2 kvHeads) · width],
// inputs from `first` on: qkv, bias [batch or 1, 1, seq, seq], and with a rotation its cos and sin [batch or 1, 1, seq, width].
struct SelfAttentionNode {
  float scale, cap;
  int64_t heads, kvHeads;
  bool hasRotation;
  explicit SelfAttentionNode(const Attributes& node)
      : scale(node.number("scale")), cap(node.number("cap")), heads(node.integer("heads")), kvHeads(node.integer("kv_heads")),
        hasRotation(node.flag("has_rotation")) {}

  int64_t all() const { return heads + 2 * kvHeads; }
  // The parts of qkv.
  template <class Float> HeadsOf<Float> part(const Attention& of, Float* qkv, int64_t from) const {
    return rowsFirst(qkv, from, all(), of.seq, of.width);
  }
  template <class Float> HeadsOf<Float> mixed(const Attention& of, Float* at) const {
    return rowsFirst(at, 0, heads, of.seq, of.width);
  }
  Attention attention(Call& call, int first) const {
    const Shape qkv = call.shape(first), bias = call.shape(first + 1);
    Call::expect(kvHeads > 0 && heads % kvHeads == 0, "heads: expected a multiple of those of the keys");
    Call::expect(qkv.size() == 2 && qkv[1] % all() == 0, "qkv: expected [batch · seq, (heads + 2 kv_heads) · width]");
    Call::expect(bias.size() == 4 && bias[2] > 0 && qkv[0] % bias[2] == 0, "bias: expected [batch or 1, 1, seq, seq]");
    const int64_t seq = bias[2], batch = qkv[0] / seq, width = qkv[1] / all();
    Attention of{batch, heads, kvHeads, seq, seq, width, scale, cap};
    const float* at = call.floats(first, qkv);
    of.query = part(of, at, 0), of.key = part(of, at, heads), of.value = part(of, at, heads + kvHeads);
    readBias(call, first + 1, of);
    if (hasRotation) of.rotation = rotation(call, first + 2, of);
    return of;
  }
  static Rotation rotation(Call& call, int input, const Attention& of) {
    const Shape cos = call.shape(input);
    Call::expect(cos.size() == 4 && cos[3] % 2 == 0 && cos[3] <= of.width, "cos: expected [batch or 1, 1, seq, at most width]");
    const bool isShared = cos[0] == 1;
    const Shape expected{isShared ? 1 : of.batch, 1, of.seq, cos[3]};
    return {call.floats(input, expected), call.floats(input + 1, expected), cos[3], isShared ? 0 : of.seq * cos[3]};
  }
};

struct SelfAttentionKernel : SelfAttentionNode {
  using SelfAttentionNode::SelfAttentionNode;
  void compute(Call& call) const {
    const Attention of = attention(call, 0);
    float* output = call.output(0, {of.batch * of.seq, heads * of.width});
    attend(of, mixed(of, output), call.output(1, {of.batch, heads, of.seq, 2}));
  }
};

struct SelfAttentionGradientKernel : SelfAttentionNode {
  using SelfAttentionNode::SelfAttentionNode;
  void compute(Call& call) const {
    const Attention of = attention(call, 3);
    const Shape shape{of.batch * of.seq, heads * of.width};
    const float *doutput = call.floats(0, shape), *output = call.floats(1, shape);
    const float* stats = call.floats(2, {of.batch, heads, of.seq, 2});
    float* dqkv = call.output(0, call.shape(3));
    attentionGradient({of, mixed(of, output), mixed(of, doutput), stats, part(of, dqkv, 0), part(of, dqkv, heads),
                       part(of, dqkv, heads + kvHeads)});
  }
};
