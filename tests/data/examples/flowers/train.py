"""Saves the model into the store, as BentoML's documents do."""

import bentoml
from sklearn.datasets import load_iris
from sklearn.svm import SVC

rows, kinds = load_iris(return_X_y=True)
bentoml.sklearn.save_model("flowers", SVC().fit(rows, kinds))
