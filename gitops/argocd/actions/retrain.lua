-- The token is new with each change of the object, so a click acts once.
obj.metadata.annotations = obj.metadata.annotations or {}
obj.metadata.annotations["sluicegate.dev/retrain-requested-at"] = obj.metadata.resourceVersion
return obj
