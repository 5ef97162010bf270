#!/bin/sh
# The buckets, and two users: the pipelines reach theirs, MLflow reaches its own, and neither reaches anything else.
# Safe to run at every start; a new password in .env is set. For any POSIX shell, and no tools but mc, mkdir and printf:
# the image holds little. MC_HOST_store, which mc reads itself, says where the store is.
set -eu

policy() {  # of the buckets that are named: list them, read, write and delete their objects, and nothing more
  buckets="" objects=""
  for bucket in "$@"; do
    buckets="$buckets${buckets:+, }\"arn:aws:s3:::$bucket\""
    objects="$objects${objects:+, }\"arn:aws:s3:::$bucket/*\""
  done
  printf '{"Version": "2012-10-17", "Statement": [
  {"Effect": "Allow", "Action": ["s3:ListBucket", "s3:GetBucketLocation", "s3:ListBucketMultipartUploads"],
   "Resource": [%s]},
  {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload",
   "s3:ListMultipartUploadParts"], "Resource": [%s]}]}\n' "$buckets" "$objects"
}

user() {  # name, password, buckets: the policy bears the user's name
  name="$1" password="$2"
  shift 2
  policy "$@" > "$MC_CONFIG_DIR/$name.json"
  mc admin policy create store "$name" "$MC_CONFIG_DIR/$name.json"
  # By standard input: an argument shows in the list of processes.
  printf '%s\n%s\n' "$name" "$password" | mc admin user add store
  # Refused where it is attached already; what counts is looked at afterwards.
  mc admin policy attach store "$name" --user "$name" || true
  info="$(mc admin user info store "$name" --json)"
  case "$info" in
    *"\"policyName\":\"$name\""* | *"\"policyName\": \"$name\""*) ;;
    *)
      echo "error: the policy of the user $name is not in force: $info" >&2
      exit 1
      ;;
  esac
}

mkdir -p "$MC_CONFIG_DIR"
for bucket in $S3_BUCKETS "$MLFLOW_S3_BUCKET"; do
  mc mb --ignore-existing "store/$bucket"
done
# shellcheck disable=SC2086 - the names of buckets hold no spaces, and are to be words of their own
user "$S3_ACCESS_KEY_ID" "$S3_SECRET_ACCESS_KEY" $S3_BUCKETS
user "$MLFLOW_S3_ACCESS_KEY_ID" "$MLFLOW_S3_SECRET_ACCESS_KEY" "$MLFLOW_S3_BUCKET"
