// Vectors of floats as wide as the processor has them, through the extensions that GCC and Clang share: the same source is
// AVX-512, AVX2, SSE or NEON. Compiled without -ffast-math, since a step must see values that are not finite.
#pragma once
#include <cstdint>
#include <cstring>

#if defined(__AVX512F__)
constexpr int LANES = 16;
#elif defined(__AVX__)
constexpr int LANES = 8;
#else
constexpr int LANES = 4;
#endif

typedef float Vector __attribute__((vector_size(LANES * 4)));
typedef int32_t IntVector __attribute__((vector_size(LANES * 4)));
typedef Vector UnalignedVector __attribute__((aligned(4), may_alias));

inline Vector load(const float* from) { return *reinterpret_cast<const UnalignedVector*>(from); }
inline void store(float* to, Vector value) { *reinterpret_cast<UnalignedVector*>(to) = value; }
inline Vector broadcast(float value) { return value - Vector{}; } // value + 0 would be an addition, since -0 + 0 is 0
inline Vector larger(Vector a, Vector b) { return a > b ? a : b; }
inline Vector smaller(Vector a, Vector b) { return a < b ? a : b; }

// bfloat16: the upper half of a float.
struct Bfloat16 {
  uint16_t bits;
};
inline Bfloat16 narrowed(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  if (value != value) return {0x7fc0};
  return {static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16)}; // to the nearest, halfway to the even one
}
inline float widened(float value) { return value; }
inline float widened(Bfloat16 value) {
  const uint32_t bits = static_cast<uint32_t>(value.bits) << 16;
  float wide;
  memcpy(&wide, &bits, sizeof wide);
  return wide;
}
inline Vector load(const Bfloat16* from) {
  typedef uint16_t Halves __attribute__((vector_size(LANES * 2), aligned(2), may_alias));
  return (Vector)(__builtin_convertvector(*reinterpret_cast<const Halves*>(from), IntVector) << 16);
}

inline Vector squareRoot(Vector value) {
  for (int i = 0; i < LANES; i++) value[i] = __builtin_sqrtf(value[i]); // one instruction for all, by -fno-math-errno
  return value;
}

// The first `count` lanes; the others are `rest`.
inline Vector loadPart(const float* from, int count, float rest = 0) {
  Vector value = broadcast(rest);
  memcpy(&value, from, count * sizeof(float));
  return value;
}
inline void storePart(float* to, Vector value, int count) { memcpy(to, &value, count * sizeof(float)); }

inline float sumOf(Vector value) {
  float sum = 0;
  for (int i = 0; i < LANES; i++) sum += value[i];
  return sum;
}
inline float largestOf(Vector value) {
  float most = value[0];
  for (int i = 1; i < LANES; i++) most = most > value[i] ? most : value[i];
  return most;
}

// Calls f(offset, count) for a row of `width` floats, LANES at a time; the last call may have fewer. The compiler sees the
// whole-vector calls apart from the last one.
template <class F> inline void overRow(int64_t width, F f) {
  int64_t at = 0;
  for (; at + LANES <= width; at += LANES) f(at, LANES);
  if (at < width) f(at, static_cast<int>(width - at));
}
inline Vector loadUpTo(const float* from, int count) { return count == LANES ? load(from) : loadPart(from, count); }
inline void storeUpTo(float* to, Vector value, int count) {
  if (count == LANES) store(to, value);
  else storePart(to, value, count);
}

// e^x = 2^n e^r with r in ±ln(2) / 2; the polynomial is that of Cephes (expf.c). Relative error below 2e-7. What would be
// smaller than 2^-126 is 0; NaN stays NaN, and what overflows is infinite.
inline Vector exponential(Vector x) {
  const Vector bounded = smaller(larger(x, broadcast(-87.3f)), broadcast(88.7f));
  const Vector scaled = bounded * 1.44269504088896341f;
  const IntVector n = __builtin_convertvector(scaled + (scaled < 0 ? broadcast(-0.5f) : broadcast(0.5f)), IntVector);
  const Vector whole = __builtin_convertvector(n, Vector);
  const Vector r = bounded - whole * 0.693359375f + whole * 2.12194440e-4f; // ln 2 in two parts
  Vector p = broadcast(1.9875691500e-4f);
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.f;
  // 2^n as bits; for n = 128 in two steps, since the exponent has room for 127 only
  const IntVector half = n >> 1;
  const Vector value = p * (Vector)((half + 127) << 23) * (Vector)((n - half + 127) << 23);
  const Vector low = x < -87.3f ? Vector{} : value;
  const Vector high = x > 88.72283f ? broadcast(__builtin_inff()) : low;
  return x == x ? high : x;
}

// 1 / (1 + e^-x) and 1 / (1 + e^x), each exact where it is small.
struct Shares {
  Vector of, rest;
};
inline Shares sigmoid(Vector x) {
  const Vector e = exponential(x < 0 ? x : -x), large = 1 / (1 + e), small = e * large;
  return {x < 0 ? small : large, x < 0 ? large : small};
}
