// What the unit test is made of: random numbers, and a count of what differs.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <random>
#include <vector>

constexpr double TOLERANCE = 5e-7;
typedef std::vector<float> Floats;
typedef std::vector<double> Doubles;

inline std::mt19937 generator(1);
inline int checks = 0, failures = 0;
inline double worst = 0;

inline Floats normal(size_t size, float deviation = 1) {
  std::normal_distribution<float> draw(0, deviation);
  Floats values(size);
  for (float& value : values) value = draw(generator);
  return values;
}

inline void check(const char* what, const Floats& found, const Doubles& expected, double condition = 1) {
  double most = 1e-30, difference = 0;
  for (size_t i = 0; i < expected.size(); i++) {
    most = std::max(most, std::abs(expected[i]));
    const double apart = std::abs(found[i] - expected[i]);
    difference = apart <= difference ? difference : apart; // NaN counts as the largest
  }
  const double error = difference / most / std::max(1.0, condition);
  checks++;
  worst = error <= worst ? worst : error;
  if (error <= TOLERANCE) return;
  failures++;
  printf("%s: differs by %.2g of the largest value\n", what, error);
}
